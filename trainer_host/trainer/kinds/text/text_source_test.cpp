#include "trainer_host/trainer/kinds/text/text_source.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/text/delimited_rows.hpp"
#include "trainer_host/trainer/kinds/text/learned_vocabulary.hpp"
#include "trainer_host/trainer/kinds/text/naive_bayes.hpp"
#include "trainer_host/trainer/kinds/text/texts.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

using Cells = std::vector<std::vector<std::string>>;

Result<Cells> cells_of(std::string_view text, Delimiter delimiter) {
  OUTCROP_TRY(rows, read_delimited(text, delimiter));
  Cells cells;
  for (const DelimitedRow& row : rows) cells.push_back(row.cells);
  return cells;
}

TEST(DelimitedRows, are_read_as_spreadsheets_write_them) {
  const Cells wanted{{"text", "label"}, {"a, \"b\"", "1"}, {"", "2"}};
  for (const std::string end : {"\n", "\r\n"}) {
    EXPECT_EQ(cells_of("text,label" + end + "\"a, \"\"b\"\"\",1" + end + ",2", Delimiter::comma).value(), wanted);
    EXPECT_EQ(cells_of("text\tlabel" + end + "\"a, \"\"b\"\"\"\t1" + end + end + "\t2" + end, Delimiter::tab).value(), wanted);
  }
  EXPECT_EQ(cells_of("\xef\xbb\xbfx,y\n\"one\ntwo\",z\n", Delimiter::comma).value(), (Cells{{"x", "y"}, {"one\ntwo", "z"}}));
  // Quotes in a table between tabs are text.
  EXPECT_EQ(cells_of("\"he\" said\t1\n\"unclosed\t2\n\t\"\n", Delimiter::tab).value(),
            (Cells{{"\"he\" said", "1"}, {"\"unclosed", "2"}, {"", "\""}}));
}

TEST(DelimitedRows, name_the_line_that_is_wrong) {
  const auto refuses = [](std::string_view text, Delimiter delimiter, const std::string& words) {
    EXPECT_THAT(read_delimited(text, delimiter), ErrorIs(ErrorCode::invalid_data, HasSubstr(words)));
  };
  refuses("a,b\nx,1\n\"y,2\n", Delimiter::comma, "line 3: a quote begins a cell and nothing closes it");
  refuses("a,b\n\"x\ny\",1\n\"z\"!,2\n", Delimiter::comma, "line 4: a cell goes on behind its closing quote");
  refuses("a,b\nx,1,2\n", Delimiter::comma, "line 2: it has 3 cells, and the headings are 2; a text with commas");
  refuses("a\tb\r\nx\t1\r\ny\r\n", Delimiter::tab, "line 3: it has 1 cell, and the headings are 2; a text between tabs");
}

class Texts : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) {
    const fs::path file = folder_.path() / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }
  [[nodiscard]] fs::path folder(const std::string& name) const { return folder_.path() / name; }
  static void refuses(const Result<TextSource>& source, ErrorCode code, const std::string& words) {
    ASSERT_FALSE(source.has_value()) << words;
    EXPECT_EQ(source.error().code(), code);
    EXPECT_THAT(source.error().message(), HasSubstr(words));
  }
  static Result<SplitTexts> open(const kinds::DataPlaces& places, const std::vector<std::string>& known = {}) {
    return open_texts(places, {}, known);
  }

  TemporaryFolder folder_;
};

TEST_F(Texts, are_read_from_a_folder_for_each_class) {
  write("imdb/train/pos/1.txt", "good\n");
  write("imdb/train/neg/1.txt", " bad \r\n");
  write("imdb/train/neg/urls.list", "no text");
  write("imdb/test/pos/1.txt", "fine");
  write("imdb/test/neg/1.txt", "poor");
  const auto source = TextSource::read(folder("imdb"), {});
  ASSERT_THAT(source, IsOk());
  ASSERT_THAT(source->training(), SizeIs(2));
  EXPECT_EQ(source->training()[0].label, "neg");
  EXPECT_EQ(source->training()[0].text, "bad");
  EXPECT_THAT(source->test(), SizeIs(2));
  write("imdb/train/unsup/1.txt", "whatever");
  refuses(TextSource::read(folder("imdb"), {}), ErrorCode::invalid_data,
          "train/unsup is there and test/unsup is not; name it in data.ignore");
  EXPECT_THAT(TextSource::read(folder("imdb"), {.ignored = {"unsup"}}), IsOk());
  EXPECT_THAT(TextSource::read(folder("imdb/train"), {})->training(), SizeIs(3));
}

TEST_F(Texts, are_read_from_tables) {
  const auto table = write("a.tsv", "id\tlabel\ttext\r\n1\tpos\t\"good\"\r\n2\tneg\tbad\r\n");
  const auto source = TextSource::read(table, {});
  ASSERT_THAT(source, IsOk());
  ASSERT_THAT(source->training(), SizeIs(2));
  EXPECT_EQ(source->training()[0].text, "good");
  EXPECT_EQ(source->training()[1].label, "neg");
  EXPECT_EQ(source->training()[1].place, table.string() + ":3");
  const auto other = TextSource::read(write("b.csv", "review,sentiment\n\"so, so\",1\n"), {"review", "sentiment", {}});
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->training()[0].text, "so, so");
}

TEST_F(Texts, name_file_and_line_of_what_is_wrong) {
  refuses(TextSource::read(folder("none"), {}), ErrorCode::not_found, "neither a folder");
  fs::create_directories(folder("empty"));
  refuses(TextSource::read(folder("empty"), {}), ErrorCode::not_found, "no folder of a class");
  fs::create_directories(folder("gap/a"));
  write("gap/b/1.txt", "x");
  refuses(TextSource::read(folder("gap"), {}), ErrorCode::invalid_data, "gap/a: a class without a text");
  write("latin/a/1.txt", "one\ntwo\ncaf\xe9\n");
  refuses(TextSource::read(folder("latin"), {}), ErrorCode::invalid_data, "latin/a/1.txt:3: it is not UTF-8");
  write("blank/a/1.txt", " \n\t");
  refuses(TextSource::read(folder("blank"), {}), ErrorCode::invalid_data, "blank/a/1.txt: it has no text");
  refuses(TextSource::read(write("a.tsv", "text\tclass\nx\ty\n"), {}), ErrorCode::invalid_data,
          "a.tsv: line 1: no heading is 'label'; there are text, class: name the right one by data.label_column");
  refuses(TextSource::read(write("b.csv", "text,label\n"), {}), ErrorCode::invalid_data, "no row behind the headings");
  refuses(TextSource::read(write("c.csv", "text,label\nx,1\n,2\n"), {}), ErrorCode::invalid_data, "c.csv:3: it has no text");
  refuses(TextSource::read(write("d.csv", "text,label\nx,\n"), {}), ErrorCode::invalid_data, "d.csv:2: it has no label");
  refuses(TextSource::read(write("e.csv", "text,label\nx,1\n\xff,2\n"), {}), ErrorCode::invalid_data, "e.csv:3: it is not");
}

TEST_F(Texts, are_taken_once_and_mixed_whatever_their_order) {
  const auto one = write("one.tsv", "text\tlabel\na\tx\nb\ty\na\tx\nc\tx\nd\ty\n");
  const auto two = write("two.tsv", "text\tlabel\nd\ty\nc\tx\nb\ty\na\tx\n");
  testing::internal::CaptureStderr();
  const auto split = open({.train = {one}, .held_out = 2});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("1 of 5 texts to train on stand there twice"));
  ASSERT_THAT(split, IsOk());
  EXPECT_THAT(split->training, SizeIs(2));
  EXPECT_THAT(split->held_out, SizeIs(2));
  EXPECT_THAT(split->classes, ElementsAre("x", "y"));
  EXPECT_EQ(split->summary.digest, open({.train = {two}, .held_out = 2})->summary.digest);
  EXPECT_THAT(open({.train = {one}, .held_out = 3}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("at least 2 must be left")));
  const auto torn = write("torn.tsv", "text\tlabel\na\tx\na\ty\n");
  EXPECT_THAT(open({.train = {torn}}), ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("torn.tsv:2 (x) stands in"),
                                                                              HasSubstr("torn.tsv:3 (y) again"))));
}

TEST_F(Texts, that_are_held_out_are_not_trained_on) {
  const auto train = write("train.tsv", "text\tlabel\na\tx\nb\ty\nc\tx\nd\ty\n");
  const auto held = write("held.tsv", "text\tlabel\nf\tx\nb\ty\n");
  EXPECT_THAT(open({.train = {train}, .validation = {held}}),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("1 of its 2 texts"), HasSubstr("held.tsv:3"))));
  const auto scored = open({.train = {train}, .validation = {held}, .only_scored = true});
  ASSERT_THAT(scored, IsOk());
  EXPECT_EQ(scored->summary.shared, 1U);
  for (const char* part : {"set/train", "set/test"}) {
    write(std::string(part) + "/x/1.txt", "the same");
    write(std::string(part) + "/y/1.txt", std::string("other of ") + part);
  }
  write("set/train/x/2.txt", "more");
  testing::internal::CaptureStderr();
  const auto split = open({.train = {folder("set")}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("1 of 3 texts to train on are left out"));
  ASSERT_THAT(split, IsOk());
  EXPECT_THAT(split->training, SizeIs(2));
  EXPECT_THAT(split->held_out, SizeIs(2));
}

TEST_F(Texts, are_of_classes_that_are_trained) {
  const auto train = write("train.tsv", "text\tlabel\na\tx\nb\ty\n");
  const auto only = write("only.tsv", "text\tlabel\na\tx\nb\tx\n");
  const auto other = write("other.tsv", "text\tlabel\nc\tz\n");
  EXPECT_THAT(open({.train = {only}}), ErrorIs(ErrorCode::invalid_data, HasSubstr("of 1 class; 2 to 256")));
  EXPECT_THAT(open({.train = {train}, .validation = {other}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("other.tsv:2 is of the class 'z', which no text to train on has")));
  EXPECT_THAT(open({.train = {train}}, {"x", "z"}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("of the class 'y', which the weights do not know; there are x, z")));
  EXPECT_THAT(open({}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("--train")));
}

TEST(LearnedVocabulary, joins_what_stands_together_most_often) {
  const std::vector<std::string_view> texts{"lower lower low", "newer newer new"};
  const auto vocabulary = learn_vocabulary(texts, Letters::lowered, 40);
  ASSERT_THAT(vocabulary, IsOk());
  EXPECT_THAT(std::vector<std::string>(vocabulary->pieces().begin(), vocabulary->pieces().begin() + 5),
              ElementsAre("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"));
  EXPECT_TRUE(vocabulary->find("lower"));
  EXPECT_TRUE(vocabulary->find("newer"));
  EXPECT_TRUE(vocabulary->find("##r"));
  const std::vector<std::string_view> turned{texts[1], texts[0]};
  EXPECT_EQ(learn_vocabulary(turned, Letters::lowered, 40)->pieces(), vocabulary->pieces());
  const auto small = learn_vocabulary(texts, Letters::lowered, 14);
  EXPECT_EQ(small->size(), 14U);
}

TEST(LearnedVocabulary, leaves_out_rare_characters_and_what_is_there_once) {
  const auto vocabulary = learn_vocabulary(std::vector<std::string_view>{"aa aa aa bc 你"}, Letters::lowered, 32);
  ASSERT_THAT(vocabulary, IsOk());
  EXPECT_TRUE(vocabulary->find("aa"));
  EXPECT_TRUE(vocabulary->find("你"));
  EXPECT_FALSE(vocabulary->find("bc")) << "it is there once";
  const auto narrow = learn_vocabulary(std::vector<std::string_view>{"aa aa aa bc 你"}, Letters::lowered, 4);
  ASSERT_THAT(narrow, IsOk());
  EXPECT_FALSE(narrow->find("b"));
}

TEST(NaiveBayes, takes_the_class_whose_words_a_text_has) {
  const LabelledTexts training{{"rain and wind", "w", ""}, {"soup and salt", "f", ""}, {"more rain", "w", ""}};
  const LabelledTexts judged{{"soup!", "f", ""}, {"Rain, unheard of", "w", ""}, {"unheard of", "w", ""}};
  const auto answers = naive_bayes(training, judged, {"f", "w"}, Letters::lowered);
  EXPECT_TRUE(torch::equal(answers, torch::tensor({{1.0F, 0.0F}, {0.0F, 1.0F}, {0.0F, 1.0F}})));
}

}  // namespace
}  // namespace outcrop::text
