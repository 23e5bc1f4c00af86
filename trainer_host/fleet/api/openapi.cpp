#include "trainer_host/fleet/api/openapi.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

// The file, by the assembler.
asm(".section .rodata\n.global outcrop_openapi\noutcrop_openapi:\n.incbin \"" OUTCROP_OPENAPI
    "\"\n.global outcrop_openapi_end\noutcrop_openapi_end:\n.byte 0\n.previous\n");
extern "C" const char outcrop_openapi[];
extern "C" const char outcrop_openapi_end[];

namespace outcrop::fleet {
namespace {

using WordsOfCalls = std::map<std::pair<std::string, std::string>, std::set<std::string>>;

WordsOfCalls read_words() {
  WordsOfCalls all;
  const auto document = nlohmann::json::parse(openapi_document());
  for (const auto& [path, calls] : document.at("paths").items()) {
    for (const auto& [name, call] : calls.items()) {
      std::string method = name;
      std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::toupper(c); });
      std::set<std::string>& words = all[{method, path}];
      for (const auto& parameter : call.value("parameters", nlohmann::json::array())) {
        if (parameter.at("in") == "query") words.insert(parameter.at("name").get<std::string>());
      }
    }
  }
  return all;
}

}  // namespace

std::string_view openapi_document() {
  return {outcrop_openapi, static_cast<std::size_t>(outcrop_openapi_end - outcrop_openapi)};
}

const std::set<std::string>& query_words(const std::string& method, const std::string& path) {
  static const WordsOfCalls all = read_words();
  static const std::set<std::string> none;
  const auto found = all.find({method, path});
  return found == all.end() ? none : found->second;
}

}  // namespace outcrop::fleet
