#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/rules/word_rules.hpp"
#include "tests/rules/include_rules.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::rules {
namespace {

namespace fs = std::filesystem;

// What CMake compiles as one: lines that include a source each.
std::set<std::string> sources_of_unit(const fs::path& unit) {
  static const std::string include = "#include \"";
  std::set<std::string> included;
  std::ifstream lines(unit);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(include)) continue;
    const std::string path = line.substr(include.size(), line.rfind('"') - include.size());
    included.insert(fs::path(path).lexically_normal().string());
  }
  return included;
}

TEST(Rules, the_tree_keeps_them) {
  for (const Violation& violation : find_violations(OUTCROP_SOURCE)) {
    ADD_FAILURE() << violation.file << " includes " << violation.included << ", but "
                  << violation.rule;
  }
}

TEST(Rules, a_planted_violation_of_each_kind_is_found) {
  const TemporaryFolder folder;
  const auto plant = [&](const fs::path& file, const std::string& text) {
    fs::create_directories((folder.path() / file).parent_path());
    ASSERT_TRUE(write_file_durably(folder.path() / file, text));
  };
  plant("agent/pull/pull.cpp", "#include \"trainer_host/release/open.hpp\"\n");
  plant("trainer_host/fleet/depot.cpp", "  #include \"trainer_host/trainer/data/npy.hpp\"\n");
  plant("protocol/blob/blob.hpp", "#include <torch/script.h>\n");
  plant("trainer_host/trainer/evaluate/evaluate_verb.cpp",
        "#include \"trainer_host/trainer/kinds/kind.hpp\"\n");
  plant("trainer_host/trainer/evaluate/stage_files.cpp",
        "#include \"trainer_host/trainer/kinds/earth/samples.hpp\"\n");
  plant("trainer_host/trainer/kinds/earth/samples.cpp",
        "#include \"trainer_host/trainer/kinds/generator/loss.hpp\"\n");
  plant("trainer_host/trainer/kinds/segmentation/energy.cpp",
        "#include \"trainer_host/trainer/kinds/generator/loss.hpp\"\n");
  plant("trainer_host/trainer/kinds/segmentation/samples.cpp",
        "#include \"trainer_host/trainer/kinds/earth/samples.hpp\"\n"
        "#include \"trainer_host/trainer/kinds/segmentation/energy.hpp\"\n"
        "#include \"trainer_host/trainer/kinds/kind.hpp\"\n");
  plant("trainer_host/trainer/kinds/built_in.cpp",
        "#include \"trainer_host/trainer/kinds/generator/generator_kind.hpp\"\n");
  plant("agent/main.cpp", "#include <mqtt/async_client.h>\n// #include <torch/script.h>\n");
  std::set<std::string> files;
  for (const Violation& violation : find_violations(folder.path())) files.insert(violation.file);
  EXPECT_THAT(files,
              ::testing::ElementsAre("agent/main.cpp", "agent/pull/pull.cpp",
                                     "protocol/blob/blob.hpp", "trainer_host/fleet/depot.cpp",
                                     "trainer_host/trainer/evaluate/stage_files.cpp",
                                     "trainer_host/trainer/kinds/earth/samples.cpp",
                                     "trainer_host/trainer/kinds/segmentation/energy.cpp"));
}

TEST(Rules, words_stay_in_their_places) {
  for (const MisplacedWord& word : find_misplaced_words(OUTCROP_SOURCE)) {
    ADD_FAILURE() << word.file << ":" << word.line << ": " << word.rule;
  }
  const TemporaryFolder folder;
  const auto plant = [&](const fs::path& file, const std::string& text) {
    fs::create_directories((folder.path() / file).parent_path());
    ASSERT_TRUE(write_file_durably(folder.path() / file, text));
  };
  plant("agent/state/state.cpp", "\n  return json.dump(2);\n");
  plant("agent/state/state_test.cpp", "  return json.dump(2);\n");
  plant("protocol/base/json_text.cpp", "  return json.dump(2);\n");
  plant("trainer_host/cli/show.hpp", "  return value->dump();\n");
  plant("trainer_host/cli/wait.cpp", "  verb.add_option(name, at_most)->type_name(\"SECONDS\");\n");
  plant("trainer_host/trainer/kinds/generator/loss.cpp", "  return velocity;\n");
  plant("trainer_host/trainer/kinds/earth/samples.cpp", "  return velocity;\n");
  plant("trainer_host/trainer/quantize/goldens.cpp", "\n\n  int Seismic = 1;\n");
  std::set<std::string> found;
  for (const MisplacedWord& word : find_misplaced_words(folder.path())) {
    found.insert(word.file + ":" + std::to_string(word.line));
  }
  EXPECT_THAT(found, ::testing::ElementsAre("agent/state/state.cpp:2", "trainer_host/cli/show.hpp:1", "trainer_host/cli/wait.cpp:1",
                                            "trainer_host/trainer/quantize/goldens.cpp:3"));
}

TEST(Rules, programs_without_libtorch_do_not_pull_it_in) {
  int checked = 0;
  for (const char* program : {"outcrop", "outcropd", "outcrop-agent"}) {
    const fs::path path = fs::path(OUTCROP_BIN) / program;
    if (!fs::exists(path)) continue;
    const std::string closure = run_shell("ldd '" + path.string() + "'").output;
    EXPECT_THAT(closure, ::testing::HasSubstr("libc.so"));
    EXPECT_THAT(closure, ::testing::Not(::testing::HasSubstr("libtorch"))) << program;
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(Rules, every_source_belongs_to_a_target) {
#if !OUTCROP_WHOLE
  GTEST_SKIP() << "sources of the trainer or the benchmarks are in no target of this build";
#endif
  const auto text = read_text_file(OUTCROP_COMPILE_COMMANDS, ByteCount::mib(64));
  ASSERT_TRUE(text);
  std::set<std::string> compiled;
  for (const auto& entry : nlohmann::json::parse(*text)) {
    const fs::path file = fs::path(entry["file"].get<std::string>()).lexically_normal();
    compiled.insert(file.string());
    if (file.parent_path().filename() == "Unity") compiled.merge(sources_of_unit(file));
  }
  for (const std::string& source : sources(OUTCROP_SOURCE)) {
    EXPECT_TRUE(compiled.contains((fs::path(OUTCROP_SOURCE) / source).lexically_normal().string()))
        << source << " is in no CMake target";
  }
}

}  // namespace
}  // namespace outcrop::rules
