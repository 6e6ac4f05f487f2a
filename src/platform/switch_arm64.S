// Switching stacks on arm64 (AAPCS64). See switch.hpp and switch.cpp.
//
// What a switched-out stack looks like, from its saved pointer up:
//    0 x29   8 where to go on (x30)   16 x19 to x28   96 d8 to d15
// The floating-point control register stays with the thread: writing it would cost more than the whole switch.
#if defined(__aarch64__)

        .text

// void turnkey_switch(void** from, void* to)
        .globl  turnkey_switch
        .type   turnkey_switch, %function
        .balign 16
turnkey_switch:
        .cfi_startproc
        hint    #34                     // bti c
        stp     x29, x30, [sp, #-160]!
        .cfi_adjust_cfa_offset 160
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        stp     x21, x22, [sp, #32]
        .cfi_rel_offset x21, 32
        .cfi_rel_offset x22, 40
        stp     x23, x24, [sp, #48]
        .cfi_rel_offset x23, 48
        .cfi_rel_offset x24, 56
        stp     x25, x26, [sp, #64]
        .cfi_rel_offset x25, 64
        .cfi_rel_offset x26, 72
        stp     x27, x28, [sp, #80]
        .cfi_rel_offset x27, 80
        .cfi_rel_offset x28, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152

        mov     x9, sp
        str     x9, [x0]
        // Both stacks look the same here, so what the lines above and below tell an unwinder holds on either.
        mov     sp, x1

        ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x27, x28, [sp, #80]
        ldp     x25, x26, [sp, #64]
        ldp     x23, x24, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #160
        .cfi_restore d15
        .cfi_restore d14
        .cfi_restore d13
        .cfi_restore d12
        .cfi_restore d11
        .cfi_restore d10
        .cfi_restore d9
        .cfi_restore d8
        .cfi_restore x28
        .cfi_restore x27
        .cfi_restore x26
        .cfi_restore x25
        .cfi_restore x24
        .cfi_restore x23
        .cfi_restore x22
        .cfi_restore x21
        .cfi_restore x20
        .cfi_restore x19
        .cfi_restore x30
        .cfi_restore x29
        .cfi_adjust_cfa_offset -160
        // A return may go where there is no landing pad; `br` may not, where branch targets are checked.
        ret
        .cfi_endproc
        .size   turnkey_switch, . - turnkey_switch

// Where a stack made by make_stack() starts: x19 is the function, x20 its argument, sp a multiple of 16.
        .globl  turnkey_start
        .type   turnkey_start, %function
        .balign 16
turnkey_start:
        .cfi_startproc
        .cfi_undefined x30
        hint    #36                     // bti j
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   turnkey_start, . - turnkey_start

// void turnkey_call_on(void* top, void (*function)(void*), void* argument): calls it on the stack that ends at `top`.
        .globl  turnkey_call_on
        .type   turnkey_call_on, %function
        .balign 16
turnkey_call_on:
        .cfi_startproc
        hint    #34                     // bti c
        stp     x29, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        .cfi_def_cfa_register x29
        mov     sp, x0
        mov     x0, x2
        blr     x1
        mov     sp, x29
        .cfi_def_cfa_register sp
        ldp     x29, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   turnkey_call_on, . - turnkey_call_on

// void turnkey_call_as(const void* saved, void (*function)(void*), void* argument): calls it so that an unwinder
// takes the switched-out stack `saved` for its caller. The function returns to here all the same; it must not throw.
        .globl  turnkey_call_as
        .type   turnkey_call_as, %function
        .balign 16
turnkey_call_as:
        .cfi_startproc
        hint    #34                     // bti c
        stp     x19, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x30, 8
        mov     x19, x0
        .cfi_remember_state
        .cfi_def_cfa x19, 160
        .cfi_offset x29, -160
        .cfi_offset x30, -152
        .cfi_offset x19, -144
        .cfi_offset x20, -136
        .cfi_offset x21, -128
        .cfi_offset x22, -120
        .cfi_offset x23, -112
        .cfi_offset x24, -104
        .cfi_offset x25, -96
        .cfi_offset x26, -88
        .cfi_offset x27, -80
        .cfi_offset x28, -72
        .cfi_offset d8, -64
        .cfi_offset d9, -56
        .cfi_offset d10, -48
        .cfi_offset d11, -40
        .cfi_offset d12, -32
        .cfi_offset d13, -24
        .cfi_offset d14, -16
        .cfi_offset d15, -8
        mov     x0, x2
        blr     x1
        .cfi_restore_state
        ldp     x19, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x19
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   turnkey_call_as, . - turnkey_call_as

#endif

        .section .note.GNU-stack, "", %progbits
