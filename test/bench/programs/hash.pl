# SPDX-License-Identifier: MIT
# What perl is measured on: hashes of 200000 keys, filled and dropped.
for my $turn (1..2) {
  my %h;
  $h{$_} = "v$_" for 1..200000;
}
