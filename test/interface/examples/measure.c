#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heapster/heapster.h"

int main(void) {
  heapster_stats before, after;
  heapster_read_thread(&before);
  char* greeting = strdup("hello");
  heapster_read_thread(&after);
  heapster_subtract(&after, &before);

  uint64_t outside = heapster_enter("greeting");
  free(greeting);
  heapster_leave(outside);

  printf("measured: %s\n", heapster_active() ? "yes" : "no");
  printf("strdup allocated %d time, %d bytes\n", (int)after.alloc_count, (int)after.alloc_sum);
  return 0;
}
