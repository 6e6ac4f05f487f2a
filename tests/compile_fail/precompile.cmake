# Precompiles every public header for the cases, so that `-include HEADERS` finds HEADERS.gch (Clang: HEADERS.pch) beside it.
file(WRITE ${headers} "#include <turnkey/turnkey.hpp>\n")
execute_process(COMMAND ${compiler} --version OUTPUT_VARIABLE version COMMAND_ERROR_IS_FATAL ANY)
if(version MATCHES "clang")
  set(suffix pch)
else()
  set(suffix gch)
endif()
execute_process(COMMAND ${compiler} -std=c++20 -I${include} -x c++-header ${headers} -o ${headers}.${suffix} COMMAND_ERROR_IS_FATAL ANY)
