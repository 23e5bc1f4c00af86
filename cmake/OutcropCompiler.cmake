# Compiler settings, each with its reason.

# Reading code is easier when the compiler has already asked the dull questions.
add_compile_options(
  -Wall -Wextra
  -Wshadow              # a hidden name is read wrongly in review
  -Wnon-virtual-dtor    # deletes through interfaces must be complete
  -Woverloaded-virtual  # an interface that changed must not be missed
  -Wimplicit-fallthrough
  -Wunused
)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(-Wno-restrict)  # GCC 12 sees overlaps in std::string that are not there (bug 105651)
endif()

if(CMAKE_UNITY_BUILD)
  # What a unit includes is a source: it may have types and names of its own that others in the unit repeat.
  add_compile_options(-Wno-subobject-linkage -Wno-shadow -Wshadow=local)
  # Precompiled headers that do not fit are parsed anew, which nobody would notice.
  add_compile_options(-Winvalid-pch)
endif()

# The same bits from the same seed on every machine: no contraction of a*b+c
# into fused multiply-adds unless code asks for it, and no fast-math anywhere.
add_compile_options(-ffp-contract=off)

# Most of this tree waits for others: small code suits it, less than half of the agent's size on a board's
# disk and in its memory, and it compiles sooner. Folders that compute ask for speed, in these words.
if(CMAKE_BUILD_TYPE STREQUAL Release)
  add_compile_options(-Os)
  set(OUTCROP_FAST_CODE -O3)
  # Tests wait for what they test: optimizing them takes longer than it saves.
  set(OUTCROP_TEST_CODE -O0)
endif()
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)

if(OUTCROP_SANITIZE)
  # Whether an object is of its type is looked up by system calls that a confined runner may not make: it would be none.
  add_compile_options(-fsanitize=${OUTCROP_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OUTCROP_SANITIZE})
endif()

# ccache serves rebuilds; precompiled headers need these sloppiness flags to hit.
find_program(OUTCROP_CCACHE ccache)
if(OUTCROP_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${OUTCROP_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_compile_options(-fpch-preprocess)
  endif()
endif()
