#include "tests/rules/word_rules.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>

#include "tests/rules/include_rules.hpp"

namespace outcrop::rules {
namespace {

struct Places {
  std::string_view word;  // in lower case; found in any
  std::vector<std::string_view> below;
  std::string_view rule;
};

const std::vector<Places>& rules() {
  constexpr std::string_view one_text = "JSON becomes text by json_text: dump() throws";
  constexpr std::string_view one_kind =
      "what a model is about is known to its kind and to data; elsewhere read its signature";
  constexpr std::string_view one_reader = "numbers take their unit by cli::in_unit, which keeps them strict";
  const std::vector<std::string_view> of_kinds{
      "trainer_host/trainer/kinds/earth/", "trainer_host/trainer/kinds/generator/",
      "trainer_host/trainer/kinds/segmentation/", "trainer_host/trainer/data/",
      // Releases of protocols 1 to 3 have no signature, and tables of before no names.
      "trainer_host/release/earlier_outputs.cpp", "trainer_host/trainer/train/history.cpp",
      // Lists what outcrop-trainer can do.
      "trainer_host/cli/trainer_verbs.cpp"};
  static const std::vector<Places> all{{".dump(", {"protocol/base/json_text.cpp"}, one_text},
                                       {"->dump(", {"protocol/base/json_text.cpp"}, one_text},
                                       {"velocity", of_kinds, one_kind},
                                       {"seismic", of_kinds, one_kind},
                                       {"type_name(\"db", {}, one_reader},
                                       {"type_name(\"seconds", {}, one_reader},
                                       {"type_name(\"minutes", {}, one_reader},
                                       {"type_name(\"hours", {}, one_reader},
                                       {"type_name(\"days", {}, one_reader},
                                       {"type_name(\"ms", {}, one_reader},
                                       {"type_name(\"bytes", {}, one_reader},
                                       {"type_name(\"mb", {}, one_reader},
                                       {"type_name(\"percent", {}, one_reader},
                                       {"type_name(\"boards", {}, one_reader},
                                       {"type_name(\"n\"", {}, one_reader}};
  return all;
}

bool is_read(std::string_view file) {
  return !file.starts_with("tests/") && !file.starts_with("bench/") &&
         !file.ends_with("_test.cpp") && file.find("_fixture.") == std::string_view::npos &&
         file.find("_for_tests.") == std::string_view::npos;
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool belongs(const std::string& file, const Places& places) {
  return std::any_of(places.below.begin(), places.below.end(),
                     [&](std::string_view place) { return file.starts_with(place); });
}

}  // namespace

std::vector<MisplacedWord> find_misplaced_words(const std::filesystem::path& root) {
  std::vector<MisplacedWord> found;
  for (const std::string& file : headers_and_sources(root)) {
    if (!is_read(file)) continue;
    std::ifstream stream(root / file);
    std::size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      line = lower_case(std::move(line));
      for (const Places& places : rules()) {
        if (line.find(places.word) == std::string::npos || belongs(file, places)) continue;
        found.push_back({file, number, std::string(places.rule)});
      }
    }
  }
  return found;
}

}  // namespace outcrop::rules
