#include "agent/control/tokenize.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::filesystem::path program = std::filesystem::path(OUTCROP_BIN) / "outcrop-tokenize";

messages::TextInput small_words() {
  return {"ids", 6, false, "[PAD]\n[UNK]\n[CLS]\n[SEP]\nrain\nsoup\n", "probabilities", {"food", "weather"}};
}

TEST(Tokenize, answers_the_ids_of_a_text_as_many_as_a_model_takes) {
  EXPECT_THAT(tokenize(program, small_words(), "Rain, soup").value(), ElementsAre(2, 4, 1, 5, 3, 0));
  EXPECT_THAT(tokenize(program, small_words(), "soup soup soup soup soup").value(), ElementsAre(2, 5, 5, 5, 5, 3));
  EXPECT_THAT(tokenize(program, small_words(), "").value(), ElementsAre(2, 3, 0, 0, 0, 0));
  EXPECT_THAT(tokenize(program, small_words(), std::string(100'000, ' ') + "rain\xff\n").value(), ElementsAre(2, 4, 3, 0, 0, 0));
  auto cased = small_words();
  cased.cased = true;
  EXPECT_THAT(tokenize(program, cased, "Rain rain").value(), ElementsAre(2, 1, 4, 3, 0, 0));
}

TEST(Tokenize, says_what_the_program_says_or_that_it_is_missing) {
  auto wrong = small_words();
  wrong.vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nrain\nrain\n";
  EXPECT_THAT(tokenize(program, wrong, "rain"), ErrorIs(ErrorCode::crashed, HasSubstr("line 6 of the vocabulary has 'rain'")));
  EXPECT_THAT(tokenize("/nowhere/outcrop-tokenize", small_words(), "rain"),
              ErrorIs(ErrorCode::not_found, HasSubstr("in the package outcrop-tokenize")));
  EXPECT_THAT(tokenize("/bin/true", small_words(), "rain"), ErrorIs(ErrorCode::crashed, HasSubstr("0 ids; 6 were wanted")));
}

}  // namespace
}  // namespace outcrop::agent
