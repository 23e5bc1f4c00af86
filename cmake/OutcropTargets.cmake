# How parts are declared. A part is a folder: a static library, its test and
# nothing else. Includes are written from the root of the tree.

# Where tests find programs. Under an emulator one program cannot start another (the kernel knows no
# format for it): tests then start scripts of the same names, which call the emulator.
set(OUTCROP_TESTED_BIN ${CMAKE_BINARY_DIR}/bin)
set(OUTCROP_TESTED_HELPERS ${CMAKE_BINARY_DIR}/tests)
if(CMAKE_CROSSCOMPILING_EMULATOR)
  set(OUTCROP_TESTED_BIN ${CMAKE_BINARY_DIR}/emulated/bin)
  set(OUTCROP_TESTED_HELPERS ${CMAKE_BINARY_DIR}/emulated/tests)
endif()

# outcrop_emulated(NAME bin|tests): the script for a program that is built into that folder.
function(outcrop_emulated name folder)
  if(NOT CMAKE_CROSSCOMPILING_EMULATOR)
    return()
  endif()
  list(JOIN CMAKE_CROSSCOMPILING_EMULATOR " " emulator)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/emulated/${folder}/${name}
    CONTENT "#!/bin/sh\nunset PWD  # the shell's own, not the caller's\nexec ${emulator} ${CMAKE_BINARY_DIR}/${folder}/${name} \"$@\"\n" @ONLY)
  file(CHMOD ${CMAKE_BINARY_DIR}/emulated/${folder}/${name}
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endfunction()

# outcrop_library(NAME SOURCES file... [LINKS target...] [PCH target])
#   PCH: reuse the precompiled LibTorch headers of that target.
function(outcrop_library name)
  cmake_parse_arguments(ARG "" "PCH" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
  if(ARG_PCH)
    target_precompile_headers(${name} REUSE_FROM ${ARG_PCH})
  endif()
endfunction()

# GCC takes a precompiled header only under the flags that it was made with, and that
# is -fPIC: programs are compiled so too, instead of with the -fPIE they would get.
function(outcrop_reuse_in_program name pch)
  target_precompile_headers(${name} REUSE_FROM ${pch})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
endfunction()

# outcrop_program(NAME SOURCES file... [LINKS target...] [PCH target] [FOLDER bin|tests])
function(outcrop_program name)
  cmake_parse_arguments(ARG "" "PCH;FOLDER" "SOURCES;LINKS" ${ARGN})
  if(NOT ARG_FOLDER)
    set(ARG_FOLDER bin)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  outcrop_emulated(${name} ${ARG_FOLDER})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${ARG_FOLDER})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
  if(ARG_PCH)
    outcrop_reuse_in_program(${name} ${ARG_PCH})
  endif()
endfunction()

# outcrop_test_program(NAME, as outcrop_program): one that only tests start.
#   OUTCROP_BIN tells it where programs are.
function(outcrop_test_program name)
  outcrop_program(${name} FOLDER tests ${ARGN})
  target_compile_definitions(${name} PRIVATE OUTCROP_BIN="${OUTCROP_TESTED_BIN}")
endfunction()

# outcrop_test(NAME, as outcrop_program [TIMEOUT seconds])
#   One program a folder: LibTorch's start-up is paid once, not once a case.
#   OUTCROP_SOURCE tells it where the sources are.
function(outcrop_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  outcrop_test_program(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_compile_definitions(${name} PRIVATE OUTCROP_SOURCE="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()
