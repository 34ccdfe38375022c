// SPDX-License-Identifier: MIT

#include "preload/life/earlier_image.h"

#include "preload/base/held_directory.h"
#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/text.h"
#include "preload/segment/segment_name.h"
#include "preload/snapshot/snapshot_writer.h"

namespace heapster::preload {

namespace {

// What could not be written where it belongs stays in the run directory, under a snapshot's name.
void keep_unsaved(int directory, const char* name, uint32_t image) {
  char kept[96];
  TextBuilder(kept, sizeof kept).add(name).add('.').add(image).add(".heap");
  kernel::rename_in(directory, name, kept);
  raise(Note::k_snapshot_failed);
}

}  // namespace

bool save_earlier_image(int directory, const Identity& identity, bool is_root, Header& earlier) {
  const SegmentName name(identity);
  const int fd = kernel::open_at(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);  // a FIFO would be waited for
  if (fd < 0) return false;
  const bool ours = ours_alone(fd) && kernel::read(fd, &earlier, sizeof earlier) == sizeof earlier &&
                    memcmp(earlier.magic, kMagic, sizeof kMagic) == 0 && earlier.identity.pid == identity.pid;
  const bool saved = ours && save_replaced(fd, earlier, identity, is_root);
  kernel::close(fd);
  if (saved) {
    kernel::unlink_at(directory, name);
  } else {
    keep_unsaved(directory, name, ours ? earlier.identity.image : 0);
  }
  return ours;
}

}  // namespace heapster::preload
