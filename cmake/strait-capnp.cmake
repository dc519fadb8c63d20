# strait_find_capnp(<target variable> <reason variable>): the target that links capnp-rpc and
# kj-async, or an empty string and one line that says what is missing. Used by the build and by the
# installed package configuration. pkg-config is the second try: Cap'n Proto's own configuration
# gives up where its optional OpenSSL is not installed.
function(strait_find_capnp strait_target_variable strait_reason_variable)
  set(${strait_target_variable} "" PARENT_SCOPE)
  set(${strait_reason_variable} "" PARENT_SCOPE)
  # The configuration of 0.9 looks for libatomic with a check that only works where the language C
  # is enabled, and stops the whole run when it fails. Answered here, it is not asked.
  set(FOUND_LIBATOMIC TRUE)
  find_package(CapnProto QUIET CONFIG)
  if(TARGET CapnProto::capnp-rpc AND NOT CapnProto_VERSION VERSION_LESS 0.9)
    set(${strait_target_variable} CapnProto::capnp-rpc PARENT_SCOPE)
    return()
  endif()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(STRAIT_CAPNP QUIET IMPORTED_TARGET capnp-rpc>=0.9)
    if(STRAIT_CAPNP_FOUND)
      set(${strait_target_variable} PkgConfig::STRAIT_CAPNP PARENT_SCOPE)
      return()
    endif()
  endif()
  set(${strait_reason_variable} "Cap'n Proto 0.9 or newer (libcapnp-dev) not found" PARENT_SCOPE)
endfunction()
