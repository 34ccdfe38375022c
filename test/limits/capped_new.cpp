// SPDX-License-Identifier: MIT
//
// A C++ program that goes on when there is no memory. It keeps its own account and knows nothing of heapster:
//   capped_new nothing | throw | handler | forms | large | threads BYTES
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

namespace {

constexpr size_t kBlock = 60'000;
constexpr size_t kMost = 10'000;
constexpr std::align_val_t kAlignment{256};

char* blocks[kMost];
size_t used;
long long own;

void tell(const char* name, long long value) {
  char line[160];
  const int size = std::snprintf(line, sizeof line, "%s %lld\n", name, value);
  if (write(1, line, static_cast<size_t>(size)) != size) _exit(3);
}

void keep(void* block) {
  own += static_cast<long long>(malloc_usable_size(block));
  blocks[used++] = static_cast<char*>(block);
}

void drop_last() {
  own -= static_cast<long long>(malloc_usable_size(blocks[--used]));
  delete[] blocks[used];
}

// Whether a plain new ends in bad_alloc.
bool throws() {
  try {
    keep(new char[kBlock]);
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

int fill_and_go_on() {
  while (!throws()) {
  }
  tell("own", own);
  if (new (std::nothrow) char[kBlock] != nullptr) return 1;
  drop_last();
  if (throws() || !throws()) return 1;
  tell("own_again", own);
  return 0;
}

int handled = 0;

// Makes room once, and has no more to give.
void make_room() {
  if (++handled == 1) return drop_last();
  std::set_new_handler(nullptr);
}

int ask_the_handler() {
  while (!throws()) {
  }
  std::set_new_handler(make_room);
  const bool first = throws();
  const bool second = throws();
  tell("handled", handled);
  return !first && second ? 0 : 1;
}

// Every form of operator new, refused and then not.
int refuse_each_form() {
  while (!throws()) {
  }
  for (const bool full : {true, false}) {
    if (!full) drop_last(), drop_last();
    for (int form = 0; form < 8; ++form) {
      const bool array = (form & 1) != 0, aligned = (form & 2) != 0, nothrow = (form & 4) != 0;
      void* block = nullptr;
      bool thrown = false;
      try {
        if (array && aligned && nothrow) {
          block = ::operator new[](kBlock, kAlignment, std::nothrow);
        } else if (array && aligned) {
          block = ::operator new[](kBlock, kAlignment);
        } else if (array && nothrow) {
          block = ::operator new[](kBlock, std::nothrow);
        } else if (array) {
          block = ::operator new[](kBlock);
        } else if (aligned && nothrow) {
          block = ::operator new(kBlock, kAlignment, std::nothrow);
        } else if (aligned) {
          block = ::operator new(kBlock, kAlignment);
        } else if (nothrow) {
          block = ::operator new(kBlock, std::nothrow);
        } else {
          block = ::operator new(kBlock);
        }
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      if ((block == nullptr) != full || thrown != (full && !nothrow)) return tell("form", form), 1;
      if (aligned) {
        array ? ::operator delete[](block, kAlignment) : ::operator delete(block, kAlignment);
      } else {
        array ? ::operator delete[](block) : ::operator delete(block);
      }
    }
  }
  return 0;
}

// Only large blocks are not to be had.
int take_large_and_small() {
  if (!throws() || new (std::nothrow) char[kBlock] != nullptr) return 1;
  delete[] new char[100];
  return 0;
}

// Eight threads take what they get, and now and then give some back; the highest sum that they had together.
int race(size_t most) {
  std::atomic<long long> sum{0}, highest{0}, refused{0};
  std::atomic<int> waiting{8};
  const auto body = [&](unsigned seed) {
    void* mine[256] = {};
    waiting.fetch_sub(1);
    while (waiting.load() != 0) {
    }
    for (int i = 0; i < 20'000; ++i) {
      seed = seed * 1103515245 + 12345;
      void*& block = mine[seed / 65536 % 256];
      if (block != nullptr && seed / 256 % 4 != 0) continue;
      if (block != nullptr) {
        sum -= static_cast<long long>(malloc_usable_size(block));
        std::free(block);
      }
      block = std::malloc(seed / 16 % most + 1);
      if (block == nullptr) {
        ++refused;
        continue;
      }
      const auto bytes = static_cast<long long>(malloc_usable_size(block));
      const long long now = sum.fetch_add(bytes) + bytes;
      for (long long seen = highest; now > seen && !highest.compare_exchange_weak(seen, now);) {
      }
    }
    for (void* block : mine) {
      if (block == nullptr) continue;
      sum -= static_cast<long long>(malloc_usable_size(block));
      std::free(block);
    }
  };
  std::thread threads[8];
  unsigned seed = 1;
  for (std::thread& thread : threads) thread = std::thread(body, seed++);
  for (std::thread& thread : threads) thread.join();
  tell("highest", highest);
  tell("refused", refused);
  tell("left", sum);
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const char* mode = argument_count > 1 ? arguments[1] : "";
  if (std::strcmp(mode, "nothing") == 0) return 0;
  if (std::strcmp(mode, "throw") == 0) return fill_and_go_on();
  if (std::strcmp(mode, "handler") == 0) return ask_the_handler();
  if (std::strcmp(mode, "forms") == 0) return refuse_each_form();
  if (std::strcmp(mode, "large") == 0) return take_large_and_small();
  if (std::strcmp(mode, "threads") == 0) return race(std::strtoul(arguments[2], nullptr, 10));
  return 2;
}
