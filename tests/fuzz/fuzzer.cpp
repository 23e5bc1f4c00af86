// libFuzzer's entry (llvm.org/docs/LibFuzzer.html), for one parser: OUTCROP_FUZZ names it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/parsers.hpp"

// What script/fuzz asks for before it begins.
extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {
  if (*count == 2 && std::strcmp((*words)[1], "--list") == 0) {
    for (const auto& one : outcrop::fuzz::parsers()) std::printf("%s\n", one.name);
    std::exit(0);
  }
  if (*count == 4 && std::strcmp((*words)[1], "--seeds") == 0) {
    const auto* found = outcrop::fuzz::parser((*words)[2]);
    if (found == nullptr) std::exit(2);
    for (const auto& file : outcrop::fuzz::seeds(*found, (*words)[3])) std::printf("%s\n", file.c_str());
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const outcrop::fuzz::Parser* const parser = [] {
    const char* name = std::getenv("OUTCROP_FUZZ");
    const auto* found = outcrop::fuzz::parser(name == nullptr ? "" : name);
    if (found == nullptr) {
      std::fprintf(stderr, "OUTCROP_FUZZ names a parser, one of --list\n");
      std::exit(2);
    }
    return found;
  }();
  parser->check(std::as_bytes(std::span(data, size)));
  return 0;
}
