// Switching stacks on x86-64 (System V calling convention). See switch.hpp and switch.cpp.
//
// What a switched-out stack looks like, from its saved pointer up:
//    0 mxcsr   4 x87 control word   8 r15   16 r14   24 r13   32 r12   40 rbx   48 rbp   56 where to go on
#if defined(__x86_64__)

        .text

// void turnkey_switch(void** from, void* to)
        .globl  turnkey_switch
        .type   turnkey_switch, @function
        .balign 16
turnkey_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        leaq    -8(%rsp), %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)

        movl    (%rsp), %eax
        movzwl  4(%rsp), %ecx
        movq    %rsp, (%rdi)
        // Both stacks look the same here, so what the lines above and below tell an unwinder holds on either.
        movq    %rsi, %rsp

        // Loading the control words takes longer than all the rest, and they are nearly always the same.
        cmpl    (%rsp), %eax
        jne     2f
        cmpw    4(%rsp), %cx
        jne     2f
        .cfi_remember_state
1:      leaq    8(%rsp), %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        // It is tempting to `ret`. Don't: the processor predicts that it goes back to our caller, and it goes
        // elsewhere.
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        notrack jmp *%rcx
2:
        .cfi_restore_state
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        jmp     1b
        .cfi_endproc
        .size   turnkey_switch, . - turnkey_switch

// Where a stack made by make_stack() starts: r12 is the function, r13 its argument, rsp a multiple of 16.
        .globl  turnkey_start
        .type   turnkey_start, @function
        .balign 16
turnkey_start:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        xorl    %ebp, %ebp
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   turnkey_start, . - turnkey_start

// void turnkey_call_on(void* top, void (*function)(void*), void* argument): calls it on the stack that ends at `top`.
        .globl  turnkey_call_on
        .type   turnkey_call_on, @function
        .balign 16
turnkey_call_on:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        movq    %rdi, %rsp
        movq    %rdx, %rdi
        callq   *%rsi
        movq    %rbp, %rsp
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        retq
        .cfi_endproc
        .size   turnkey_call_on, . - turnkey_call_on

// void turnkey_call_as(const void* saved, void (*function)(void*), void* argument): calls it so that an unwinder
// takes the switched-out stack `saved` for its caller. The function returns to here all the same; it must not throw.
        .globl  turnkey_call_as
        .type   turnkey_call_as, @function
        .balign 16
turnkey_call_as:
        .cfi_startproc
        endbr64
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rdi, %rbx
        .cfi_remember_state
        .cfi_def_cfa %rbx, 64
        .cfi_offset %rbp, -16
        .cfi_offset %rbx, -24
        .cfi_offset %r12, -32
        .cfi_offset %r13, -40
        .cfi_offset %r14, -48
        .cfi_offset %r15, -56
        movq    %rdx, %rdi
        callq   *%rsi
        .cfi_restore_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        retq
        .cfi_endproc
        .size   turnkey_call_as, . - turnkey_call_as

#endif

        .section .note.GNU-stack, "", %progbits
