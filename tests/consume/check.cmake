# Uses the library in each way that the README promises, LINKAGE static or shared: add_subdirectory, then, from what that build
# installs into an empty prefix, find_package and pkg-config. Each builds main.cpp and runs it.
set(here ${CMAKE_CURRENT_LIST_DIR})
set(prefix ${work}/prefix)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
if(linkage STREQUAL "shared")
  set(shared ON)
else()
  set(shared OFF)
endif()
unset(ENV{DESTDIR})
set(ENV{LD_LIBRARY_PATH} ${prefix}/lib)
set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
find_program(ccache ccache)
if(ccache)
  set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} ${ccache})
endif()

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(failed)
    message(FATAL_ERROR "${linkage}: ${ARGV}\n${said}")
  endif()
endfunction()

function(build how)  # the rest: arguments for the configure step
  run(${CMAKE_COMMAND} -S ${here}/${how} -B ${work}/${how} -G ${generator} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0
    -DCMAKE_CXX_COMPILER=${compiler} ${ARGN})
  run(${CMAKE_COMMAND} --build ${work}/${how} --parallel 2)
  run(${work}/${how}/consumer)
endfunction()

build(add_subdirectory -DTURNKEY_SOURCE=${source} -DBUILD_SHARED_LIBS=${shared} -DTURNKEY_INSTALL=ON -DCMAKE_INSTALL_LIBDIR=lib)
run(${CMAKE_COMMAND} --install ${work}/add_subdirectory --prefix ${prefix})
file(REMOVE_RECURSE ${work}/add_subdirectory)  # nothing may depend on the build tree from here on
build(find_package -DCMAKE_PREFIX_PATH=${prefix})

find_program(pkg_config NAMES pkg-config pkgconf REQUIRED)
execute_process(COMMAND ${pkg_config} --cflags --libs turnkey OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(${compiler} -std=c++20 ${here}/main.cpp ${flags} -o ${work}/pkg_config)
run(${work}/pkg_config)
