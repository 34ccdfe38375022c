// SPDX-License-Identifier: MIT
//
// A library whose fork handler allocates in the child.

#include <pthread.h>
#include <stdlib.h>

static void* volatile kept;

static void in_child(void) { kept = malloc(70000); }

__attribute__((constructor)) static void start(void) { pthread_atfork(NULL, NULL, in_child); }
