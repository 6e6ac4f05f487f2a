# What `cmake --install` puts where: headers, library, the files behind find_package(turnkey) and `pkg-config turnkey`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY include/turnkey DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(TARGETS turnkey EXPORT turnkeyTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# The library has gdb's script in it. Here it is for who does not let gdb load it from there, and for a shared library also
# where gdb looks, and trusts what it finds, if the prefix is gdb's own.
install(FILES tools/gdb/turnkey_gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/turnkey)
if(BUILD_SHARED_LIBS)
  install(FILES tools/gdb/turnkey_gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load${CMAKE_INSTALL_FULL_LIBDIR}
    RENAME libturnkey.so.${PROJECT_VERSION}-gdb.py)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/turnkey)
install(EXPORT turnkeyTargets NAMESPACE turnkey:: DESTINATION ${package_dir})
configure_package_config_file(cmake/turnkeyConfig.cmake.in turnkeyConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(turnkeyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/turnkeyConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/turnkeyConfigVersion.cmake
  DESTINATION ${package_dir})

# Relative to the .pc file, so that `cmake --install --prefix` and a moved tree work; APPEND leaves absolute directories alone.
set(pc_libdir "\${prefix}")
cmake_path(APPEND pc_libdir "${CMAKE_INSTALL_LIBDIR}")
set(pc_includedir "\${prefix}")
cmake_path(APPEND pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
# Whoever links the archive must name what it needs; the shared library names that itself.
if(BUILD_SHARED_LIBS)
  set(pc_private "-pthread -ldl")
else()
  set(pc_public "-pthread -ldl")
endif()
configure_file(cmake/turnkey.pc.in turnkey.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/turnkey.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
