#include "platform/config/toml_reader.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::platform {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TomlReaderTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) {
    fs::create_directories((folder_.path() / name).parent_path());
    ASSERT_THAT(write_file_durably(folder_.path() / name, text), IsOk());
  }
  Result<TomlReader> open() { return TomlReader::open(folder_.path() / "a.toml"); }

  TemporaryFolder folder_;
};

TEST_F(TomlReaderTest, drop_ins_replace_single_keys_in_the_order_of_their_names) {
  write("a.toml", "name = \"main\"\nkept = 1\n[table]\na = 1\nb = 1\nlist = [\"x\", \"y\"]\n");
  write("a.toml.d/20-later.toml", "name = \"later\"\n[table]\nlist = [\"z\"]\n");
  write("a.toml.d/10-first.toml", "name = \"first\"\n[table]\na = 2\n[new]\nc = 3\n");
  write("a.toml.d/30-other.conf", "this is no TOML and not read");
  auto reader = open();
  ASSERT_THAT(reader, IsOk());
  auto root = reader->root();
  EXPECT_EQ(root.text("name", {}), "later");
  EXPECT_EQ(root.integer("kept", {}, 0, 9), 1);
  auto table = root.table("table");
  EXPECT_EQ(table.integer("a", {}, 0, 9), 2);
  EXPECT_EQ(table.integer("b", {}, 0, 9), 1);
  EXPECT_THAT(table.texts("list", {}, 4), ElementsAre("z"));
  table.finish();
  auto added = root.table("new");
  EXPECT_EQ(added.integer("c", {}, 0, 9), 3);
  added.finish();
  root.finish();
  EXPECT_THAT(reader->status(), IsOk());
}

TEST_F(TomlReaderTest, errors_name_the_drop_in_and_its_line) {
  write("a.toml", "n = 1\n[table]\na = 1\n");
  write("a.toml.d/10.toml", "\n\nn = 12\n");
  const auto refused = [&](const auto& ask, const std::string& message) {
    auto reader = open();
    ASSERT_THAT(reader, IsOk());
    auto root = reader->root();
    ask(root);
    EXPECT_THAT(reader->status(), ErrorIs(ErrorCode::invalid_argument, HasSubstr(message)));
  };
  refused([](auto& root) { (void)root.integer("n", {}, 0, 9); },
          "a.toml.d/10.toml:3: n: 12 is out of range");
  refused([](auto& root) { root.finish(); }, "a.toml.d/10.toml:3: n: is not known");
  refused([](auto& root) { (void)root.table("table").integer("b", {}, 0, 9); },
          "a.toml:2: table.b: is missing");
  write("a.toml.d/20.toml", "[table]\nunknown = 1\n");
  refused([](auto& root) { root.table("table").finish("known is a"); }, "a.toml:3: table.a");
  refused(
      [](auto& root) {
        auto table = root.table("table");
        (void)table.integer("a", {}, 0, 9);
        table.finish();
      },
      "a.toml.d/20.toml:2: table.unknown: is not known here; known are a");
  write("a.toml.d/30.toml", "table = 3\n");
  refused([](auto& root) { (void)root.table("table"); },
          "a.toml.d/30.toml:1: table: this is an integer");
  write("a.toml.d/40.toml", "\nn = = 1\n");
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_argument,
                              HasSubstr("a.toml.d/40.toml:2: this is not TOML")));
}

TEST_F(TomlReaderTest, a_misspelt_key_is_named_instead_of_the_one_that_is_missing) {
  const auto refused = [&](std::string_view text, const std::string& message) {
    write("a.toml", text);
    auto reader = open();
    ASSERT_THAT(reader, IsOk());
    auto root = reader->root();
    auto device = root.table("device");
    (void)device.has("model");  // asked for twice, named once
    (void)device.text("model", {});
    (void)device.text("class", {});
    device.finish();
    root.finish();
    EXPECT_THAT(reader->status(), ErrorIs(ErrorCode::invalid_argument, HasSubstr(message)));
  };
  refused("[device]\nmodle = \"a\"\nclass = \"b\"\n",
          "a.toml:2: device.modle: is not known here; did you mean device.model? known are model");
  refused("[devise]\nmodel = \"a\"\nclass = \"b\"\n",
          "a.toml:1: devise: is not known here; did you mean device?");
  refused("[device]\nkind = \"a\"\nclass = \"b\"\n",
          "a.toml:2: device.kind: is not known here; known are model, class");
  refused("[device]\nmodel = \"a\"\nclass = \"b\"\ncolour = \"c\"\n",
          "a.toml:4: device.colour: is not known here; known are model, class");
  refused("[device]\nclass = \"b\"\n", "a.toml:1: device.model: is missing");
  // The first mistake stays the first.
  refused("[device]\nmodel = 1\nclas = \"b\"\n", "a.toml:2: device.model: this is an integer");
}

TEST_F(TomlReaderTest, a_list_holds_texts_only) {
  const auto refused = [&](std::string_view text, const std::string& message) {
    write("a.toml", text);
    auto reader = open();
    ASSERT_THAT(reader, IsOk());
    (void)reader->root().texts("list", {}, 2);
    EXPECT_THAT(reader->status(), ErrorIs(ErrorCode::invalid_argument, HasSubstr(message)));
  };
  refused("list = \"a\"", "list: this is a string; it must be a list of at most 2 texts");
  refused("list = [\"a\", 3]", "list: it holds an integer");
  refused("list = [\"\"]", "list: it holds an empty text");
  refused("list = [\"a\", \"b\", \"c\"]", "list: it has 3");
  refused("other = 1", "list: is missing");
}

TEST_F(TomlReaderTest, a_list_of_integers_keeps_its_bounds) {
  write("a.toml", "good = [3, 1]\nlarge = [1, 9]\ntext = [\"1\"]\nnone = []\none = 3\n");
  auto reader = open();
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(reader->root().integers("good", {}, 1, 8, 2), ElementsAre(3, 1));
  EXPECT_THAT(reader->root().integers("other", {5}, 1, 8, 2), ElementsAre(5));
  EXPECT_THAT(reader->status(), IsOk());
  const auto refused = [&](std::string_view key, const std::string& message) {
    auto again = open();
    ASSERT_THAT(again, IsOk());
    (void)again->root().integers(key, {}, 1, 8, 2);
    EXPECT_THAT(again->status(), ErrorIs(ErrorCode::invalid_argument, HasSubstr(message)));
  };
  refused("large", "large: it holds 9; it must be a list of 1 to 2 integers from 1 to 8");
  refused("text", "text: it holds a string");
  refused("none", "none: it has 0");
  refused("one", "one: this is an integer");
}

TEST_F(TomlReaderTest, a_relative_path_starts_beside_the_main_file) {
  write("a.toml", "");
  write("a.toml.d/10.toml", "state = \"data/state\"\n");
  auto reader = open();
  ASSERT_THAT(reader, IsOk());
  EXPECT_EQ(reader->root().path("state", {}), folder_.path() / "data/state");
}

TEST_F(TomlReaderTest, several_paths_may_stand_where_one_does) {
  write("a.toml", "one = \"a\"\nmore = [\"b\", \"/c\"]\nnone = []\nmany = [\"a\", \"b\", \"c\"]\n");
  const auto asked = [&](std::string_view key) {
    auto reader = open();
    auto root = reader->root();
    const auto paths = root.paths(key, 2);
    return std::pair(paths, reader->status());
  };
  EXPECT_THAT(asked("one").first, ElementsAre(folder_.path() / "a"));
  EXPECT_THAT(asked("more").first, ElementsAre(folder_.path() / "b", fs::path("/c")));
  EXPECT_THAT(asked("none").second,
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("a.toml:3: none: it is an empty")));
  EXPECT_THAT(asked("many").second,
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("many: it has 3")));
  EXPECT_THAT(asked("gone").second,
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("gone: is missing")));
}

TEST_F(TomlReaderTest, what_a_command_line_sets_goes_before_files_and_is_named_in_errors) {
  write("a.toml", "n = 1\nlist = [1, 2]\n[table]\na = 1\nb = 2\n");
  write("a.toml.d/10.toml", "[table]\na = 3\n");
  const auto with = [&](const std::vector<std::string>& settings) {
    return TomlReader::open(folder_.path() / "a.toml", settings);
  };
  auto reader = with({"table.a=4", "list=[5]", "new.text='x=y'"});
  ASSERT_THAT(reader, IsOk());
  auto root = reader->root();
  EXPECT_EQ(root.integer("n", {}, 0, 9), 1);
  EXPECT_THAT(root.integers("list", {}, 0, 9, 4), ElementsAre(5));
  auto table = root.table("table");
  EXPECT_EQ(table.integer("a", {}, 0, 9), 4);
  EXPECT_EQ(table.integer("b", {}, 0, 9), 2);
  EXPECT_EQ(root.table("new").text("text", {}), "x=y");
  EXPECT_THAT(reader->status(), IsOk());

  auto refused = with({"table.a=40"});
  ASSERT_THAT(refused, IsOk());
  auto refused_root = refused->root();
  (void)refused_root.table("table").integer("a", {}, 0, 9);
  EXPECT_THAT(refused->status(), ErrorIs(ErrorCode::invalid_argument, HasSubstr("--set table.a=40: table.a: 40 is out")));

  for (const char* wrong : {"table.a", "=4", "table.a=", "table.a=four", "n=1\nm=2", ""}) {
    EXPECT_THAT(with({wrong}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("it must be KEY=VALUE"))) << wrong;
  }
}

// Each as deep as ended the process.
TEST_F(TomlReaderTest, what_is_nested_without_end_is_refused_before_it_is_parsed) {
  const auto many = [](std::string_view one, int count = 40'000) {
    std::string text;
    for (int i = 0; i < count; ++i) text += one;
    return text;
  };
  for (const std::string& deep : {many("a.") + "a = 1", "[" + many("a.") + "a]", "[[" + many("a . ") + "a]]", many("\"a\".") + "a = 1",
                                  many("'a'.") + "a = 1", "x = {" + many("a.") + "a = 1}", "x = " + many("["), "x = " + many("{a = "),
                                  "x = " + many("[{a.b = "), many("a.", 32) + "a = 1"}) {
    write("a.toml", "good = 1\n" + deep + "\n");
    EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_argument, HasSubstr("a.toml:2: tables and lists stand in each other more than 32 deep")))
        << deep.substr(0, 20);
  }
  write("a.toml", "");
  EXPECT_THAT(TomlReader::open(folder_.path() / "a.toml", {many("a.") + "a=1"}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("32 deep")));
  write("a.toml", many("\n") + "b = \"\"\"" + many("\n") + "\"\"\"\n" + many("a.") + "a = 1");
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_argument, HasSubstr("a.toml:80002: ")));
}

TEST_F(TomlReaderTest, dots_and_brackets_that_nest_nothing_are_as_many_as_they_like) {
  std::string dots, brackets, numbers, tables;
  for (int i = 0; i < 1000; ++i) {
    dots += ".";
    brackets += "[";
    numbers += "1.5, ";
    tables += "[[b]]\nc = [[1], [2]]\n";
  }
  std::string deep = "a";
  for (int i = 0; i < 31; ++i) deep += ".a";
  write("a.toml", deep + " = 1\n# " + dots + brackets + "\ntext = \"" + dots + "\\\"" + brackets + "\"\nline = '" + brackets + dots +
                      "\\'\nlines = \"\"\"\n" + dots + "\n\\\"\"\" " + brackets + "\"\"\"\nmore = '''\n" + dots + brackets + "'''\nnumbers = [" +
                      numbers + "2]\n" + tables);
  EXPECT_THAT(open(), IsOk());
}

TEST_F(TomlReaderTest, says_what_cannot_be_read) {
  EXPECT_THAT(open(), ErrorIs(ErrorCode::not_found, HasSubstr("a.toml")));
  write("a.toml", "");
  write("a.toml.d", "a file where a folder belongs");
  EXPECT_THAT(open(), ErrorIs(ErrorCode::io, HasSubstr("a.toml.d")));
  fs::remove(folder_.path() / "a.toml.d");
  fs::create_directories(folder_.path() / "a.toml.d/folder.toml");
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("folder.toml is not a regular file")));
}

}  // namespace
}  // namespace outcrop::platform
