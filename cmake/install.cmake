# The installed tree is the same whichever build system made it (tests/consumers compares them):
# every header, the package files, the licence. Which of remote and bench exist is decided on the
# machine that uses the copy, not on the one that made it, for there is nothing compiled in it.
set(strait_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/strait")
set(strait_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")
set(VERSION ${PROJECT_VERSION})
file(RELATIVE_PATH PREFIX_FROM_PC "/p/${strait_pkgconfig_dir}" "/p")
file(RELATIVE_PATH PREFIX_FROM_CMAKE "/p/${strait_package_dir}" "/p")
string(REGEX REPLACE "/$" "" PREFIX_FROM_PC "${PREFIX_FROM_PC}")
string(REGEX REPLACE "/$" "" PREFIX_FROM_CMAKE "${PREFIX_FROM_CMAKE}")
set(INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/strait" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/strait")
foreach(name strait-config.cmake strait-config-version.cmake)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.in" "${PROJECT_BINARY_DIR}/${name}" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}" DESTINATION "${strait_package_dir}")
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/cmake/strait-capnp.cmake" DESTINATION "${strait_package_dir}")
foreach(name strait strait-remote strait-bench)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${strait_pkgconfig_dir}")
endforeach()
