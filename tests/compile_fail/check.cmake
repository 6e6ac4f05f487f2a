# One compile-fail case: SOURCE must not compile, the compiler's words must match the regular expression (CMake's kind) in its first
# line, and it must compile once -DCONTROL has taken the mistake out: else it might fail for some other reason.
#
#   // expect: use of deleted function
#   // clang: -Wthread-safety -Werror        (optional second line: a case for Clang alone, compiled with these flags as well)
file(READ ${source} text)
if(NOT text MATCHES "^// expect: ([^\n]+)\n(// clang:([^\n]*)\n)?")
  message(FATAL_ERROR "${source}: the first line must be `// expect: <regex>`")
endif()
set(expect "${CMAKE_MATCH_1}")
separate_arguments(flags UNIX_COMMAND "${CMAKE_MATCH_3}")

set(ENV{LC_ALL} C)  # plain quotes in the compiler's messages
# The headers come precompiled (precompile.cmake): parsing them twice a case took most of the time.
set(compile ${compiler} -std=c++20 -fsyntax-only -I${include} -include ${headers} ${flags})
execute_process(COMMAND ${compile} ${source} RESULT_VARIABLE failed ERROR_VARIABLE said OUTPUT_VARIABLE said)
if(NOT failed)
  message(FATAL_ERROR "${source} compiles; it must not")
endif()
if(NOT "${said}" MATCHES "${expect}")
  message(FATAL_ERROR "${source}: expected a message like `${expect}`, got\n${said}")
endif()
execute_process(COMMAND ${compile} -DCONTROL ${source} RESULT_VARIABLE failed ERROR_VARIABLE said OUTPUT_VARIABLE said)
if(failed)
  message(FATAL_ERROR "${source} must compile with -DCONTROL, got\n${said}")
endif()
