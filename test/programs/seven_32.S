// SPDX-License-Identifier: MIT
//
// exit(7) for the other word size, without a C library of that size.
        .text
        .globl _start
_start:
        movl $1, %eax
        movl $7, %ebx
        int $0x80
        .section .note.GNU-stack,"",@progbits
