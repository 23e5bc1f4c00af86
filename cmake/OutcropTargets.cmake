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

# Headers that many sources include are compiled once and reused, under the flags that they were made with: GCC
# takes them under no others.
# outcrop_precompiled(NAME HEADERS <header>... [LINKS target...] [OPTIONS flag...])
function(outcrop_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;LINKS;OPTIONS" ${ARGN})
  set(stub ${CMAKE_BINARY_DIR}/precompiled/${name}.cpp)
  if(NOT EXISTS ${stub})
    file(WRITE ${stub} "")
  endif()
  add_library(${name} OBJECT ${stub})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS} INTERFACE ${ARG_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  if(NOT TARGET outcrop_all_headers)
    add_custom_target(outcrop_all_headers)
  endif()
  add_dependencies(outcrop_all_headers ${name})
endfunction()

# Programs are compiled with -fPIC as well, as the headers were, instead of with the -fPIE they would get.
function(outcrop_reuse_headers name headers)
  target_precompile_headers(${name} REUSE_FROM ${headers})
  target_compile_options(${name} PRIVATE $<TARGET_PROPERTY:${headers},INTERFACE_COMPILE_OPTIONS>)
  target_compile_definitions(${name} PRIVATE $<TARGET_PROPERTY:${headers},INTERFACE_COMPILE_DEFINITIONS>)
  target_include_directories(${name} SYSTEM PRIVATE $<TARGET_PROPERTY:${headers},INTERFACE_INCLUDE_DIRECTORIES>)
  get_target_property(type ${name} TYPE)
  if(type STREQUAL EXECUTABLE)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${name} PRIVATE -fPIC)
  endif()
endfunction()

# outcrop_sources(NAME, the arguments of the functions below): what libraries and programs have in common.
function(outcrop_sources name)
  cmake_parse_arguments(ARG "" "PCH" "SOURCES;LINKS" ${ARGN})
  target_sources(${name} PRIVATE ${ARG_SOURCES})
  if(NOT ARG_PCH)
    set(ARG_PCH ${OUTCROP_HEADERS})
  endif()
  if(ARG_PCH)
    outcrop_reuse_headers(${name} ${ARG_PCH})
  endif()
endfunction()

# outcrop_library(NAME SOURCES file... [LINKS target...] [PCH target])
#   PCH: whose precompiled headers to reuse; otherwise those of OUTCROP_HEADERS, which folders set.
function(outcrop_library name)
  cmake_parse_arguments(ARG "" "PCH" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC)
  outcrop_sources(${name} ${ARGN})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()

# outcrop_program(NAME SOURCES file... [LINKS target...] [PCH target] [FOLDER bin|tests])
function(outcrop_program name)
  cmake_parse_arguments(ARG "" "PCH;FOLDER" "SOURCES;LINKS" ${ARGN})
  if(NOT ARG_FOLDER)
    set(ARG_FOLDER bin)
  endif()
  add_executable(${name})
  outcrop_sources(${name} ${ARGN})
  outcrop_emulated(${name} ${ARG_FOLDER})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${ARG_FOLDER})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
endfunction()

# outcrop_test_library(NAME, as outcrop_library): what tests share. Programs never link it.
function(outcrop_test_library name)
  set(OUTCROP_HEADERS ${OUTCROP_TEST_HEADERS})
  outcrop_library(${name} ${ARGN})
endfunction()

# outcrop_manual(NAME SECTION): its manual page, made of what its parser knows and of docs/man/NAME.man;
# the program is run for that, a board's under the emulator. Call beside outcrop_program.
function(outcrop_manual name section)
  set(page ${CMAKE_BINARY_DIR}/man/${name}.${section})
  set(more ${PROJECT_SOURCE_DIR}/docs/man/${name}.man)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/man)
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND ${name} --man-page ${section} > ${page}
    COMMAND cat ${more} >> ${page}
    BYPRODUCTS ${page})
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${more})
endfunction()

# outcrop_test_program(NAME, as outcrop_program): one that only tests start.
#   OUTCROP_BIN tells it where programs are.
function(outcrop_test_program name)
  set(OUTCROP_HEADERS ${OUTCROP_TEST_HEADERS})
  outcrop_program(${name} FOLDER tests ${ARGN})
  target_compile_definitions(${name} PRIVATE OUTCROP_BIN="${OUTCROP_TESTED_BIN}")
endfunction()

# outcrop_test_properties(NAME [TIMEOUT seconds] [MEASURES] [CORES n] [ENVIRONMENT NAME=VALUE...])
#   A test computes in one thread where it says nothing else, so that as many run side by side as there are cores.
#   MEASURES: of those whose boards measure one runs at a time. They wait for each other at the machine's lock anyway, and
#   mostly wait: so they begin first, and others run beside them.
#   CORES: what it needs to itself where it keeps more than one busy.
#   TIMEOUT: what it takes by itself at the most; twice that is allowed, since others run beside it.
function(outcrop_test_properties name)
  cmake_parse_arguments(ARG "MEASURES" "TIMEOUT;CORES" "ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(cost ${ARG_TIMEOUT})  # what may take long is begun early
  if(ARG_MEASURES)
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK outcrop_measures)
    math(EXPR cost "${cost} + 10000")
  endif()
  if(ARG_CORES)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${ARG_CORES})
  endif()
  math(EXPR timeout "2 * ${ARG_TIMEOUT}")
  set(environment OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE ${ARG_ENVIRONMENT})
  if(OUTCROP_SANITIZE MATCHES "thread")
    list(APPEND environment "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/script/thread-sanitizer.supp")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} COST ${cost} ENVIRONMENT "${environment}")
endfunction()

# outcrop_test(NAME, as outcrop_program, and as outcrop_test_properties)
#   One program a folder: LibTorch's start-up is paid once, not once a case.
#   OUTCROP_SOURCE tells it where the sources are.
function(outcrop_test name)
  cmake_parse_arguments(ARG "MEASURES" "TIMEOUT;CORES" "" ${ARGN})
  outcrop_test_program(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_compile_definitions(${name} PRIVATE OUTCROP_SOURCE="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest GTest::gtest_main outcrop_test_cache)
  add_test(NAME ${name} COMMAND ${name})
  set(properties TIMEOUT ${ARG_TIMEOUT})
  if(ARG_MEASURES)
    list(APPEND properties MEASURES)
  endif()
  if(ARG_CORES)
    list(APPEND properties CORES ${ARG_CORES})
  endif()
  if("outcrop_torch_test_headers" IN_LIST ARGN)
    # As the trainer sets it for itself (train/process.hpp): page faults were a quarter of a test's time.
    list(APPEND properties ENVIRONMENT MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1073741824)
  endif()
  outcrop_test_properties(${name} ${properties})
endfunction()
