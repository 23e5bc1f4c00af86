#include <gmock/gmock.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/text_input.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/landlock.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// By the real program, which begins anew in its jail; the modules are of tests/modules/make_modules.py.
class Import : public testing::Test {
 protected:
  void SetUp() override {
    const std::string lacking = runtime::lacks_landlock();
    if (!lacking.empty()) GTEST_SKIP() << "no jail on this machine: " << lacking;
  }

  // In the folder of the test, so that names are as a user gives them.
  [[nodiscard]] ShellOutcome outcrop(const std::string& words) const {
    return run_shell("cd " + folder_.path().string() + " && " + OUTCROP_BIN "/outcrop " + words);
  }
  void bring(const std::string& module) const {
    fs::copy_file(fs::path(OUTCROP_SOURCE) / "tests/modules" / (module + ".pt"),
                  folder_.path() / (module + ".pt"));
  }
  void write_row_values(const std::string& name, std::vector<std::int64_t> shape) const {
    const auto count = static_cast<std::size_t>(shape[0] * shape[1]) *
                       (shape.size() > 2 ? static_cast<std::size_t>(shape[2] * shape[3]) : 1);
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 37 % 100) / 50.0F - 1.0F;
    fs::create_directories(folder_.path() / "rows");
    ASSERT_THAT(write_file_durably(folder_.path() / "rows" / (name + ".npy"),
                                   runtime::encode_npy(runtime::Tensor::of_floats(name, shape, values))),
                IsOk());
  }

  TemporaryFolder folder_;
};

TEST_F(Import, takes_a_module_from_python_to_a_signed_release) {
  bring("digits");
  write_row_values("images", {12, 1, 8, 8});
  const ShellOutcome imported = outcrop("import digits.pt --data rows --budget raspberry-pi-4=100,400 --out out");
  ASSERT_EQ(imported.code, 0) << imported.output;
  EXPECT_THAT(imported.output, AllOf(HasSubstr("int8-qint8"), HasSubstr("100.000"),
                                     Not(HasSubstr("not measured")), Not(HasSubstr("left out"))));
  // As advised; without a target nothing says how good it is, which a policy must allow.
  ASSERT_EQ(outcrop("keys init --dir keys --model digits").code, 0);
  const ShellOutcome refused = outcrop("release create out/stage1 --keys keys --out out/release");
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.output, HasSubstr("minimum_quality = -inf"));
  std::ofstream(folder_.path() / "policy.toml") << "minimum_quality = -inf\n";
  const ShellOutcome signed_release =
      outcrop("release create out/stage1 --keys keys --out out/release --policy policy.toml");
  ASSERT_EQ(signed_release.code, 0) << signed_release.output;
  EXPECT_EQ(outcrop("release verify out/release --keys keys").code, 0);

  EXPECT_THAT(outcrop("release show out/release --keys keys").output, HasSubstr("100 ms p90, 400 MB"));
  EXPECT_THAT(outcrop("import digits.pt --data rows --budget pi=fast --out other").output,
              HasSubstr("raspberry-pi-4=400,400"));

  // Its weights are enough to quantize it again.
  const ShellOutcome again =
      outcrop("quantize out/stage1/digits_stage1.weights q --data rows --no-measure");
  ASSERT_EQ(again.code, 0) << again.output;
  for (const char* variant : {"float", "int8-qint8"}) {
    const std::string file = std::string("digits_stage1_") + variant + ".ptl";
    EXPECT_EQ(*read_file(folder_.path() / "q" / file, ByteCount::mib(1)),
              *read_file(folder_.path() / "out/stage1" / file, ByteCount::mib(1)))
        << file;
  }
}

// The release says how a text is cut for it, as outcrop-agent infer --text wants to know.
TEST_F(Import, takes_a_model_of_texts_with_its_vocabulary) {
  bring("texts");
  bring("recurrent");
  fs::create_directory(folder_.path() / "rows");
  std::vector<std::int64_t> ids(std::size_t{12} * 6);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i * 7 % 12);
  ASSERT_THAT(runtime::write_tensor_file(folder_.path() / "rows/rows.safetensors",
                                         std::vector{runtime::Tensor::of_integers("tokens", {12, 6}, ids)}),
              IsOk());
  const std::string pieces = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nrain\nwind\nsoup\nsalt\n##y\n##s\nof\nwith\n";
  const auto vocabulary = [&](const std::string& text) { std::ofstream(folder_.path() / "vocab.txt") << text; };
  vocabulary(pieces);
  const std::string words = " --vocabulary vocab.txt --data rows --variants float --out out --classes ";
  const ShellOutcome imported = outcrop("import texts.pt" + words + "food,weather,neither");
  ASSERT_EQ(imported.code, 0) << imported.output;
  const auto goldens = read_file(folder_.path() / "out/stage1/golden_input.safetensors", ByteCount::mib(1));
  ASSERT_THAT(goldens, IsOk());
  const auto told = runtime::decode_tensor_metadata(*goldens);
  ASSERT_THAT(told, IsOk());
  ASSERT_TRUE(told->contains(messages::text_metadata_key));
  const auto text = messages::parse_text_input(told->at(messages::text_metadata_key));
  ASSERT_THAT(text, IsOk());
  EXPECT_EQ(*text, (messages::TextInput{"tokens", 6, false, pieces, "output", {"food", "weather", "neither"}}));

  const auto refused = [&](const std::string& arguments, const std::string& why) {
    fs::remove_all(folder_.path() / "out");
    const ShellOutcome outcome = outcrop("import " + arguments);
    EXPECT_NE(outcome.code, 0) << arguments;
    EXPECT_THAT(outcome.output, HasSubstr(why));
    EXPECT_FALSE(fs::exists(folder_.path() / "out/stage1"));
  };
  refused("texts.pt" + words + "food,weather", "--classes names 2: a probability for each is wanted");
  std::string thirty_two = "c1";
  for (int i = 2; i <= 32; ++i) thirty_two += ",c" + std::to_string(i);
  refused("recurrent.pt" + words + thirty_two, "are no probabilities");
  refused("texts.pt --vocabulary vocab.txt --data rows --out out", "--classes");
  refused("texts.pt --classes a,b,c --data rows --out out", "--vocabulary");
  vocabulary(pieces + "more\n");
  refused("texts.pt" + words + "food,weather,neither", "has 13 pieces, and the module does not take the last one");
  vocabulary(pieces.substr(0, pieces.find("of\n")));
  refused("texts.pt" + words + "food,weather,neither", "the rows have an id 11, and the vocabulary ends at 9");
  vocabulary(pieces + "rain\n");
  refused("texts.pt" + words + "food,weather,neither", "vocab.txt: ");
  bring("digits");
  refused("digits.pt" + words + "a,b,c,d", "images");
}

TEST_F(Import, runs_strangers_code_where_nothing_but_what_was_named_is_to_be_had) {
  write_row_values("x", {6, 4});
  std::ofstream(folder_.path() / "secret.txt") << "secret";
  bring("reads_rows");
  bring("reads_secret");
  // It can read a file: that of its rows is named.
  const ShellOutcome named = outcrop("import reads_rows.pt --data rows --out named");
  EXPECT_EQ(named.code, 0) << named.output;
  const ShellOutcome secret = outcrop("import reads_secret.pt --data rows --out out");
  EXPECT_EQ(secret.code, 1);
  EXPECT_THAT(secret.output, AllOf(HasSubstr("it raises for rows of these data"),
                                   HasSubstr("Permission denied")));
  EXPECT_FALSE(fs::exists(folder_.path() / "out/stage1"));
  // Nor is anything to be written that is not its output.
  const ShellOutcome over_itself = outcrop("import reads_rows.pt --data rows --out .");
  EXPECT_EQ(over_itself.code, 2) << over_itself.output;
  EXPECT_THAT(over_itself.output, AllOf(HasSubstr("would let what others made change"),
                                        HasSubstr("name a new or empty folder")));
  fs::create_directory(folder_.path() / "mine");
  std::ofstream(folder_.path() / "mine/notes.txt") << "mine";
  EXPECT_THAT(outcrop("import reads_rows.pt --data rows --out mine").output,
              HasSubstr("no output of ours"));
}

TEST_F(Import, keeps_keys_out_of_where_such_code_is_trained) {
  bring("digits");
  write_row_values("images", {12, 1, 8, 8});
  std::ofstream(folder_.path() / "train.toml") << "[model]\nname = \"digits\"\nkind = \"module\"\n"
                                                 "module = \"digits.pt\"\n[data]\ntrain = \"rows\"\n"
                                                 "[train]\nout = \"run\"\n[release]\nkeys = \"keys\"\n";
  const ShellOutcome refused = outcrop("train train.toml");
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("train.toml:3"), HasSubstr("outcrop release create")));
}

TEST_F(Import, is_not_needed_to_quantize_a_model_by_what_a_file_says) {
  const ShellOutcome example = outcrop("example waves");
  ASSERT_EQ(example.code, 0) << example.output;
  const std::string rest = " --calibration waves/rows --no-measure";
  // As it advises.
  const ShellOutcome by_file = outcrop("quantize waves/waves.pt gptq --config waves/gptq.toml" + rest);
  ASSERT_EQ(by_file.code, 0) << by_file.output;
  EXPECT_THAT(by_file.output, HasSubstr("gptq-4bit"));
  EXPECT_TRUE(fs::exists(folder_.path() / "gptq/waves_gptq-4bit.plan.toml"));
  EXPECT_THAT(outcrop("recommend waves/waves.pt --calibration waves/rows").output, HasSubstr("static"));
  EXPECT_THAT(outcrop("list").output, HasSubstr("nf4-4bit"));

  std::ofstream(folder_.path() / "three.toml") << "method = \"gptq\"\nbits = 3\n";
  EXPECT_THAT(outcrop("quantize waves/waves.pt q --config three.toml" + rest).output,
              AllOf(HasSubstr("three.toml:2"), HasSubstr("4 bits")));
  EXPECT_THAT(outcrop("quantize waves/waves.pt q --method statik" + rest).output,
              AllOf(HasSubstr("'statik'"), HasSubstr("static-mse")));
  EXPECT_THAT(outcrop("quantize waves/waves.pt q --plan gptq/waves_gptq-4bit.plan.toml --method dynamic" + rest).output,
              HasSubstr("gptq-4bit"));

  // A folder of models: what one cannot keeps no other.
  fs::create_directory(folder_.path() / "models");
  fs::copy(folder_.path() / "waves/waves.pt", folder_.path() / "models/a.pt");
  std::ofstream(folder_.path() / "models/b.pt") << "PK\3\4 nothing";
  const ShellOutcome batch = outcrop("quantize models all --method fp16" + rest);
  EXPECT_NE(batch.code, 0);
  EXPECT_THAT(batch.output, AllOf(HasSubstr("1 of 2 models"), HasSubstr("b: ")));
  EXPECT_TRUE(fs::exists(folder_.path() / "all/a/a_fp16.ptl"));
}

}  // namespace
}  // namespace outcrop::stage
