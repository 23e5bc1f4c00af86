#include "runtime/text/tokenizer.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "tests/support/result_matchers.hpp"

namespace outcrop::text {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

// Ids in this test are those that PyPI's tokenizers 0.23.3 (BertWordPieceTokenizer) gives with this vocabulary.
constexpr const char* pieces_of_the_test =
    "[PAD] [UNK] [CLS] [SEP] [MASK] a ##a b ##b cafe naive ##s strasse stra ##ße ##e hello world ! ? . ' 你 好 世 界 "
    "🙂 ##🙂 i ##i ιησους ##ς σ é café É [ ] sep ##c c １ １２ ﬁ x ##x ##xx い ab";

Tokenizer tokenizer(Letters letters = Letters::lowered) {
  std::string lines = pieces_of_the_test;
  std::replace(lines.begin(), lines.end(), ' ', '\n');
  auto vocabulary = Vocabulary::parse(lines + "\n");
  EXPECT_THAT(vocabulary, IsOk());
  return {std::move(*vocabulary), letters};
}

auto lowered(const std::string& text) { return tokenizer().ids_of(text); }
auto as_written(const std::string& text) { return tokenizer(Letters::as_written).ids_of(text); }

TEST(Tokenizer, takes_accents_and_capitals_away_where_letters_are_lowered) {
  EXPECT_THAT(lowered("Café NAÏVE cafés straße"), ElementsAre(9, 10, 9, 11, 13, 14));
  EXPECT_THAT(lowered("Cafe\u0301"), ElementsAre(9));
  EXPECT_THAT(lowered("İ I ı"), ElementsAre(28, 28, 1));
  EXPECT_THAT(lowered("ΙΗΣΟΥΣ Σ"), ElementsAre(1, 32));  // a small sigma is one, also at a word's end
  EXPECT_THAT(lowered("１２ ﬁ"), ElementsAre(42, 43));    // alike is not the same
  EXPECT_THAT(as_written("Café NAÏVE cafés straße"), ElementsAre(1, 1, 34, 11, 13, 14));
  EXPECT_THAT(as_written("Cafe\u0301"), ElementsAre(1));
}

TEST(Tokenizer, takes_ideographs_and_punctuation_as_words) {
  EXPECT_THAT(lowered("你好,世界abい"), ElementsAre(22, 23, 1, 24, 25, 1));
  EXPECT_THAT(lowered("hello!?world.' ¿"), ElementsAre(16, 18, 19, 17, 20, 21, 1));
  EXPECT_THAT(lowered("hello🙂 🙂🙂 world"), ElementsAre(16, 27, 26, 27, 17));
  EXPECT_THAT(lowered("a\u200d🙂"), ElementsAre(5, 27));
}

TEST(Tokenizer, leaves_controls_out_and_ends_words_at_white_space) {
  EXPECT_THAT(lowered("he\x01llo\x7f\u0085 wo\u00adrld\u200b"), ElementsAre(16, 17));
  EXPECT_THAT(lowered("hel\0lo\0\0 world"s), ElementsAre(16, 17));
  EXPECT_THAT(lowered("a\u2028b\u3000a\u00a0b"), ElementsAre(5, 7, 5, 7));
  EXPECT_THAT(lowered("  \t\n\r\u00a0\u3000\u2028  "), IsEmpty());
  EXPECT_THAT(lowered(""), IsEmpty());
  EXPECT_THAT(lowered(std::string(1000, '\0')), IsEmpty());
}

TEST(Tokenizer, leaves_out_what_is_no_utf8_as_it_does_the_replacement_character) {
  EXPECT_THAT(lowered("hel\ufffdlo"), ElementsAre(16));
  EXPECT_THAT(lowered("hel\xff\xfelo"), ElementsAre(16));
  EXPECT_THAT(lowered("hel\xe4lo"), ElementsAre(16));          // Latin-1
  EXPECT_THAT(lowered("hello\xf0\x9f\x99"), ElementsAre(16));  // an emoji cut short
  EXPECT_THAT(lowered("hel\xed\xa0\x80lo"), ElementsAre(16));  // half of a pair of UTF-16
  EXPECT_THAT(lowered("hel\xc0\x80lo"), ElementsAre(16));      // NUL, longer than it should be
}

TEST(Tokenizer, takes_the_longest_piece_and_nothing_of_a_word_that_cannot_be_cut) {
  EXPECT_THAT(lowered("xxx xxxx"), ElementsAre(44, 46, 44, 46, 45));
  EXPECT_THAT(lowered("hello zzz abz"), ElementsAre(16, 1, 1));
}

TEST(Tokenizer, does_not_cut_words_of_more_than_a_hundred_characters) {
  EXPECT_THAT(lowered(std::string(100, 'a')), AllOf(SizeIs(100), testing::Contains(6).Times(99)));
  EXPECT_THAT(lowered(std::string(101, 'a')), ElementsAre(1));
  EXPECT_THAT(lowered(std::string(100'000, 'x')), ElementsAre(1));
  std::string many;
  for (int i = 0; i < 50'000; ++i) many += "ab ";
  EXPECT_THAT(lowered(many), AllOf(SizeIs(50'000), Each(48)));
}

// Others take "[SEP]" in a text for the end of it; whoever writes a text does not decide where it ends.
TEST(Tokenizer, takes_special_pieces_in_a_text_for_text) {
  EXPECT_THAT(lowered("[SEP] [sep]"), ElementsAre(36, 38, 37, 36, 38, 37));
}

TEST(Tokenizer, cuts_and_fills_texts_to_a_length) {
  EXPECT_THAT(tokenizer().padded("hello world", 6), ElementsAre(2, 16, 17, 3, 0, 0));
  EXPECT_THAT(tokenizer().padded("hello world !", 4), ElementsAre(2, 16, 17, 3));
  EXPECT_THAT(tokenizer().padded("", 2), ElementsAre(2, 3));
}

TEST(Vocabulary, has_an_id_for_each_line) {
  const auto vocabulary = Vocabulary::parse("[UNK]\r\n[CLS]\r\n[SEP]\r\n[PAD]\r\nß");
  ASSERT_THAT(vocabulary, IsOk());
  EXPECT_EQ(vocabulary->size(), 5U);
  EXPECT_EQ(vocabulary->unknown(), 0);
  EXPECT_EQ(vocabulary->begins(), 1);
  EXPECT_EQ(vocabulary->ends(), 2);
  EXPECT_EQ(vocabulary->padding(), 3);
  EXPECT_EQ(vocabulary->find("ß"), 4);
  EXPECT_EQ(vocabulary->find("s"), std::nullopt);
  EXPECT_EQ(to_text(vocabulary->pieces()), "[UNK]\n[CLS]\n[SEP]\n[PAD]\nß\n");
}

TEST(Vocabulary, names_the_line_that_is_wrong) {
  const std::string special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  const auto refuses = [&](const std::string& text, const std::string& words) {
    EXPECT_THAT(Vocabulary::parse(text), ErrorIs(ErrorCode::invalid_data, HasSubstr(words)));
  };
  refuses(special + "a\n\nb\n", "line 6 of the vocabulary is empty");
  refuses(special + "a\nb\na\n", "line 7 of the vocabulary has 'a', which line 5 has already");
  refuses(special + "a\n\xff\n", "line 6 of the vocabulary is not UTF-8");
  refuses("[PAD]\n[CLS]\n[SEP]\na\n", "none of the 4 lines of the vocabulary is [UNK]");
  refuses("", "none of the 0 lines");
  refuses(std::string(longest_vocabulary.value() + 1, 'a'), "it may have 1.05 MB");
}

}  // namespace
}  // namespace outcrop::text
