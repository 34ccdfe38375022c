// SPDX-License-Identifier: MIT
//
// A C program that loads a C++ plugin for itself alone:
//   plugin_host PLUGIN COUNT [deep|namespace]

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argument_count, char** arguments) {
  if (argument_count < 3) return 2;
  const char* how = argument_count > 3 ? arguments[3] : "";
  const int flags = RTLD_NOW | RTLD_LOCAL | (strcmp(how, "deep") == 0 ? RTLD_DEEPBIND : 0);
  void* plugin =
      strcmp(how, "namespace") == 0 ? dlmopen(LM_ID_NEWLM, arguments[1], RTLD_NOW) : dlopen(arguments[1], flags);
  if (plugin == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  int (*allocate)(int) = (int (*)(int))dlsym(plugin, "plugin_allocate");
  return allocate == NULL ? 2 : allocate(atoi(arguments[2]));
}
