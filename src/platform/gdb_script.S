// tools/gdb/turnkey_gdb.py, for gdb to load with whatever program the library is in. It takes no memory in the process.
// A 4 and a name: a Python script that follows, up to a 0.
        .section ".debug_gdb_scripts", "MS", %progbits, 1
        .byte   4
        .ascii  "gdb.inlined-script.turnkey\n"
        .incbin "turnkey_gdb.py"
        .byte   0

// Something to refer to: a linker leaves out of an archive what nobody refers to.
        .section .rodata
        .globl  turnkey_gdb_script_is_linked
        .hidden turnkey_gdb_script_is_linked
        .type   turnkey_gdb_script_is_linked, %object
        .size   turnkey_gdb_script_is_linked, 1
turnkey_gdb_script_is_linked:
        .byte   1

        .section .note.GNU-stack, "", %progbits
