// SPDX-License-Identifier: MIT
//
// A thousand boxes of 100 bytes from Rust's default allocator, which is malloc.

fn main() {
    let boxes: Vec<Box<[u8; 100]>> = (0..1000).map(|n| Box::new([n as u8; 100])).collect();
    let sum: u64 = boxes.iter().map(|bytes| u64::from(bytes[0])).sum();
    std::process::exit(if sum > 0 { 0 } else { 1 });
}
