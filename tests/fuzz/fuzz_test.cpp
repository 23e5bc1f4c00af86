// Every parser over its seeds and some thousand mutants of them, the same ones each time: script/fuzz looks further.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "protocol/base/durable_file.hpp"
#include "tests/fuzz/parsers.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"

namespace outcrop::fuzz {
namespace {

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t limit) {
  return limit == 0 ? 0 : random() % limit;
}

// What parsers stumble over: ends of ranges, of strings and of nesting.
constexpr const char* stumbling_blocks[] = {"",     "-1",   "0",     "18446744073709551616", "9223372036854775807", "1e999", "1e-999",
                                            "NaN",  "null", "[]",    "{}",                   "\"\"",                "true",  "\\u0000",
                                            "\xff", "\xed\xa0\x80", "\"", "\\", "\n",        "[[[[[[[[[[[[[[[[",    "%00",   "..",
                                            "\u009b31m"};

std::string mutant(std::string text, const std::string& other, Random& random) {
  for (std::size_t changes = 1 + below(random, 4); changes > 0; --changes) {
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t length = std::min(below(random, 24), text.size() - at);
    switch (below(random, 6)) {
      case 0:
        if (!text.empty()) text[below(random, text.size())] ^= static_cast<char>(1U << below(random, 8));
        break;
      case 1: text.erase(at, length); break;
      case 2: text.insert(at, text.substr(below(random, text.size()), length)); break;
      case 3: text.replace(at, length, stumbling_blocks[below(random, std::size(stumbling_blocks))]); break;
      case 4: text.resize(at); break;
      case 5: text.insert(at, other.substr(below(random, other.size()), 40)); break;
    }
  }
  return text;
}

class Parsers : public ::testing::TestWithParam<Parser> {};

TEST_P(Parsers, survive_what_strangers_send) {
  std::vector<std::string> texts;
  for (const auto& file : seeds(GetParam(), OUTCROP_SOURCE)) {
    const auto text = read_text_file(file);
    ASSERT_THAT(text, IsOk());
    texts.push_back(*text);
  }
  ASSERT_FALSE(texts.empty()) << "a parser without seeds is not tried";
  for (const std::string& text : texts) GetParam().check(as_bytes(text));
  Random random(20261129);
  for (int i = 0; i < 2000; ++i) {
    const std::string input = mutant(texts[below(random, texts.size())], texts[below(random, texts.size())], random);
    GetParam().check(as_bytes(input));
  }
}

// As script/fuzz does before it has anything to run.
TEST(ParserList, is_what_the_script_lists_without_building) {
  std::string names;
  for (const Parser& one : parsers()) names += std::string(one.name) + "\n";
  EXPECT_EQ(run_shell(OUTCROP_SOURCE "/script/fuzz --list").output, names);
}

INSTANTIATE_TEST_SUITE_P(Every, Parsers, ::testing::ValuesIn(parsers().begin(), parsers().end()), [](const auto& one) {
  std::string name = one.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace outcrop::fuzz
