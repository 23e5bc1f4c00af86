#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/landlock.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A judge's lines about files, among whatever else it prints.
std::vector<nlohmann::json> figures_in(const std::string& output) {
  std::vector<nlohmann::json> all;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("{\"file\"")) all.push_back(nlohmann::json::parse(line));
  }
  return all;
}

// By the real program, as a user calls it, on modules that Python made (tests/modules/make_modules.py).
class Exchange : public testing::Test {
 protected:
  void SetUp() override {
    const std::string lacking = runtime::lacks_landlock();
    if (!lacking.empty()) GTEST_SKIP() << "no jail on this machine: " << lacking;
  }

  [[nodiscard]] ShellOutcome outcrop(const std::string& words) const {
    return run_shell("cd " + folder_.path().string() + " && " + OUTCROP_BIN "/outcrop " + words);
  }
  void bring(const std::string& module) const {
    fs::copy_file(fs::path(OUTCROP_SOURCE) / "tests/modules" / (module + ".pt"), folder_.path() / (module + ".pt"));
  }
  [[nodiscard]] bool is_there(const std::string& file) const { return fs::exists(folder_.path() / file); }
  [[nodiscard]] std::string text_of(const std::string& file) const {
    const auto text = read_text_file(folder_.path() / file, ByteCount::mib(4));
    EXPECT_THAT(text, IsOk());
    return text.value_or("");
  }
  [[nodiscard]] std::vector<runtime::Tensor> tensors_of(const std::string& file) const {
    auto tensors = runtime::read_tensor_file(folder_.path() / file);
    EXPECT_THAT(tensors, IsOk());
    return tensors.value_or(std::vector<runtime::Tensor>());
  }
  // By Debian's Python, with the other runtimes.
  [[nodiscard]] ShellOutcome python(const std::string& words) const {
    return run_shell("cd " + folder_.path().string() + " && PYTHONPATH=" + tools_ + " /usr/bin/python3 " + words);
  }
  [[nodiscard]] std::string lacks_tools() const {
    if (!fs::exists(tools_)) return "no LiteRT, ONNX Runtime and safetensors here: script/exchange-tools";
    return python("-c 'import torch'").code == 0 ? "" : "no /usr/bin/python3 with torch (Debian's python3-torch)";
  }

  TemporaryFolder folder_;
  const std::string tools_ = OUTCROP_SOURCE "/build/exchange-tools";
  const std::string keras_ = OUTCROP_SOURCE "/build/keras-tools";
};

TEST_F(Exchange, writes_a_file_of_each_format_and_says_what_it_takes_and_gives) {
  bring("digits");
  for (const char* format : {"tflite", "onnx"}) {
    const ShellOutcome written = outcrop("export digits.pt out --shape 1,1,8,8 --format " + std::string(format));
    ASSERT_EQ(written.code, 0) << written.output;
    EXPECT_THAT(written.output, AllOf(HasSubstr("takes images: float32 [1, 1, 8, 8]"), HasSubstr("gives output: float32 [1, 4]"),
                                      HasSubstr("2 × convolution\n"), HasSubstr("1 × max pool\n")));
  }
  const ShellOutcome weights = outcrop("export digits.pt out --format safetensors");
  ASSERT_EQ(weights.code, 0) << weights.output;
  EXPECT_EQ(text_of("out/digits.tflite").substr(4, 4), "TFL3");
  const auto list = nlohmann::json::parse(text_of("out/export.json"));
  EXPECT_EQ(list.size(), 3U);
  EXPECT_EQ(list.at("digits.onnx").at("inputs").at(0).at("name"), "images");
  // As TensorFlow has images; and in a quarter of the size.
  const ShellOutcome last = outcrop("export digits.pt last --shape 1,1,8,8 --format tflite --channels-last --dynamic-range");
  EXPECT_THAT(last.output, HasSubstr("takes images: float32 [1, 8, 8, 1]"));
  // The same model gives the same bytes.
  const std::string before = text_of("out/digits.tflite") + text_of("out/digits.onnx");
  ASSERT_EQ(outcrop("export digits.pt out --shape 1,1,8,8 --format tflite").code, 0);
  ASSERT_EQ(outcrop("export digits.pt out --shape 1,1,8,8 --format onnx").code, 0);
  EXPECT_TRUE(text_of("out/digits.tflite") + text_of("out/digits.onnx") == before);
}

TEST_F(Exchange, refuses_by_operator_what_a_format_cannot_say_before_a_byte_is_written) {
  bring("loop");
  bring("recurrent");
  bring("in_training_mode");
  bring("draws");
  const ShellOutcome loop = outcrop("export loop.pt out --format tflite --shape 1,4");
  EXPECT_EQ(loop.code, 1) << loop.output;
  EXPECT_THAT(loop.output, AllOf(HasSubstr("its output needs"), HasSubstr("prim::Loop (a loop)")));
  EXPECT_THAT(outcrop("export recurrent.pt out --format onnx --shape 1,6:int64").output, HasSubstr("aten::lstm has no counterpart here"));
  EXPECT_THAT(outcrop("export in_training_mode.pt out --format onnx --shape 1,1,8,8").output,
              AllOf(HasSubstr("in training mode"), HasSubstr("model.eval()")));
  EXPECT_THAT(outcrop("export draws.pt out --format onnx --shape 1,4").output, HasSubstr("is random"));
  for (const char* name : {"out/loop.tflite", "out/recurrent.onnx", "out/in_training_mode.onnx", "out/draws.onnx", "out/export.json"}) {
    EXPECT_FALSE(is_there(name)) << name;
  }
}

TEST_F(Exchange, says_what_is_wrong_with_words) {
  bring("digits");
  const auto says = [&](const std::string& words, const std::string& part) {
    const ShellOutcome outcome = outcrop("export digits.pt out " + words);
    EXPECT_NE(outcome.code, 0) << words;
    EXPECT_THAT(outcome.output, HasSubstr(part)) << words;
  };
  says("--format tflite", "nothing says which size 'images' has: --shape images=1,");
  for (const char* shape : {"1,0,8,8", "1,1,8,8,", "images=1,1,8,8:int3", "999999999,999999999"}) {
    says("--format tflite --shape '" + std::string(shape) + "'", "sizes from 1 with commas are wanted");
  }
  says("--format tflite --shape 1,1,8,8 --shape 1,2", "has no argument '' that is a tensor and left");
  says("--format tflite --shape picture=1,1,8,8", "nothing says which size 'images' has");
  says("--format tflite --shape 1,1,8,8 --method decode", "--method decode: it has forward");
  says("--format tflite --shape 1,1,8,8 --part body", "there is no 'body'; there is first, norm, block");
  says("--format tflite --shape 1,1,8,8 --output map", "forward has no output 'map'; it has output");
  says("--format tflite --shape 1,3,8,8", "aten::conv2d");
  says("--format onnx --shape 1,1,8,8 --dynamic-range", "are for --format tflite");
  says("--format safetensors --shape 1,1,8,8", "safetensors hold weights alone");
  says("--format pickle", "--format");
  // Nor is anything written beside what is read.
  EXPECT_THAT(outcrop("export digits.pt . --format safetensors").output, HasSubstr("name a new or empty folder"));
  std::ofstream(folder_.path() / "text.pt") << "PK\3\4 nothing";
  EXPECT_THAT(outcrop("export text.pt out --format onnx").output, HasSubstr("no TorchScript"));
  std::ofstream(folder_.path() / "text.weights") << "nothing";
  EXPECT_NE(outcrop("export text.weights out --format safetensors").code, 0);
  EXPECT_THAT(outcrop("export text.weights out --format onnx").output, HasSubstr("holds weights"));
}

TEST_F(Exchange, gives_weights_away_and_takes_them_back_by_their_names_alone) {
  bring("digits");
  ASSERT_EQ(outcrop("export digits.pt out --format safetensors").code, 0);
  auto tensors = tensors_of("out/digits.safetensors");
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& tensor : tensors) all.push_back(tensor.name);
    return all;
  }();
  EXPECT_THAT(names, testing::IsSupersetOf({"first.weight", "norm.running_mean", "norm.num_batches_tracked", "classes.bias"}));
  fs::create_directory(folder_.path() / "rows");
  const std::vector<float> values(std::size_t{4} * 64, 0.5F);
  ASSERT_THAT(runtime::write_tensor_file(folder_.path() / "rows/rows.safetensors",
                                         std::vector{runtime::Tensor::of_floats("images", {4, 1, 8, 8}, values)}),
              IsOk());
  // What was trained on elsewhere comes into the module, and from its stage out again as it was.
  for (auto& tensor : tensors) {
    if (tensor.name == "classes.bias") tensor = runtime::Tensor::of_floats("classes.bias", {4}, std::vector<float>{1, 2, 3, 4});
  }
  const auto write = [&](const char* file, const std::vector<runtime::Tensor>& some) {
    ASSERT_THAT(runtime::write_tensor_file(folder_.path() / file, some), IsOk());
  };
  write("tuned.safetensors", tensors);
  const std::string import = "import digits.pt --data rows --variants float --out ";
  const ShellOutcome taken = outcrop(import + "taken --weights tuned.safetensors");
  ASSERT_EQ(taken.code, 0) << taken.output;
  ASSERT_EQ(outcrop("export taken/stage1/digits_stage1.weights again --format safetensors").code, 0);
  for (const auto& tensor : tensors_of("again/digits_stage1.safetensors")) {
    const auto same = std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.name == tensor.name; });
    ASSERT_NE(same, tensors.end()) << tensor.name;
    EXPECT_EQ(same->data, tensor.data) << tensor.name;
  }
  auto more = tensors;
  more.push_back(runtime::Tensor::of_floats("head.bias", {1}, std::vector<float>{0}));
  write("more.safetensors", more);
  EXPECT_THAT(outcrop(import + "other --weights more.safetensors").output, HasSubstr("has a tensor 'head.bias', and the module has none"));
  tensors.pop_back();
  write("fewer.safetensors", tensors);
  EXPECT_THAT(outcrop(import + "other --weights fewer.safetensors").output, HasSubstr(names.back()));
  EXPECT_FALSE(is_there("other/stage1"));
}

TEST_F(Exchange, refuses_for_keras_what_is_no_chain_of_floats_before_a_byte_is_written) {
  bring("digits");
  fs::create_directory(folder_.path() / "rows");
  const std::vector<float> values(std::size_t{16} * 64, 0.5F);
  ASSERT_THAT(runtime::write_tensor_file(folder_.path() / "rows/rows.safetensors",
                                         std::vector{runtime::Tensor::of_floats("images", {16, 1, 8, 8}, values)}),
              IsOk());
  ASSERT_EQ(outcrop("quantize digits.pt codes --method int8-qint8 --no-measure --calibration rows").code, 0);
  const auto says = [&](const std::string& words, const std::string& part) {
    const ShellOutcome outcome = outcrop("export " + words + " --format keras");
    EXPECT_EQ(outcome.code, 1) << words;
    EXPECT_THAT(outcome.output, HasSubstr(part)) << words;
    EXPECT_TRUE(fs::is_empty(folder_.path() / "out")) << words;
  };
  says("digits.pt out --shape 1,1,8,8", "Keras' Sequential is layers behind each other, and '");
  says("codes/digits_int8-qint8.ptl out --shape 1,1,8,8", "is in codes, and Keras trains floats: name the float variant");
}

// By Keras itself: the same answers, and a step of training.
TEST_F(Exchange, keras_answers_alike_and_trains_on) {
  if (!fs::exists(keras_)) GTEST_SKIP() << "no Keras here: script/exchange-tools --keras";
  if (python("-c 'import torch'").code != 0) GTEST_SKIP() << "no /usr/bin/python3 with torch (Debian's python3-torch)";
  const std::string tests = OUTCROP_SOURCE "/tests/exchange/";
  ASSERT_EQ(python(tests + "zoo.py .").code, 0);
  std::ofstream jobs(folder_.path() / "jobs");
  for (const auto& [name, shape] : std::vector<std::pair<std::string, std::string>>{
           {"convolutions", "1,3,17,18"}, {"groups", "1,8,9,9"}, {"chain", "1,3,19,18"}}) {
    const ShellOutcome written = outcrop("export " + name + ".pt out --shape " + shape + " --format keras");
    ASSERT_EQ(written.code, 0) << written.output;
    jobs << name << ".pt out/" << name << ".keras " << shape << "\n";
    // The same model gives the same bytes.
    const std::string before = text_of("out/" + name + ".keras");
    ASSERT_EQ(outcrop("export " + name + ".pt out --shape " + shape + " --format keras").code, 0);
    EXPECT_TRUE(text_of("out/" + name + ".keras") == before) << name;
  }
  jobs.close();
  const ShellOutcome judged = run_shell("cd " + folder_.path().string() + " && KERAS_BACKEND=jax PYTHONPATH=" + keras_ + " /usr/bin/python3 -B " +
                                        tests + "judge_keras.py < jobs");
  ASSERT_EQ(judged.code, 0) << judged.output;
  int seen = 0;
  for (const auto& figures : figures_in(judged.output)) {
    ++seen;
    EXPECT_LE(figures.at("largest").get<double>(), 1e-4) << figures;
    EXPECT_GT(figures.at("trained").get<int>(), 0) << figures;
    EXPECT_LT(figures.at("loss_after").get<double>(), figures.at("loss_before").get<double>()) << figures;
  }
  EXPECT_EQ(seen, 3) << judged.output;
}

// The lines between ```python and ``` of docs/exchange.md.
std::string lines_of_the_page() {
  const auto page = read_text_file(fs::path(OUTCROP_SOURCE) / "docs/exchange.md", ByteCount::mib(1));
  EXPECT_THAT(page, IsOk());
  std::istringstream lines(page.value_or(""));
  std::string script;
  bool code = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      code = line == "```python";
    } else if (code) {
      script += line + "\n";
    }
  }
  return script;
}

TEST_F(Exchange, the_page_for_python_runs_as_it_stands) {
  if (const std::string lacking = lacks_tools(); !lacking.empty()) GTEST_SKIP() << lacking;
  bring("digits");
  ASSERT_EQ(outcrop("export digits.pt exported --format safetensors").code, 0);
  ASSERT_EQ(outcrop("export digits.pt exported --format tflite --shape 1,1,8,8").code, 0);
  ASSERT_EQ(outcrop("export digits.pt exported --format onnx --shape 1,1,8,8").code, 0);
  std::ofstream(folder_.path() / "page.py") << lines_of_the_page();
  const ShellOutcome ran = python("page.py");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("torch.Size([1, 4])"));
}

// How far an exported file may be from what it was made of.
struct Bound {
  const char* module;
  double reference_steps = 2;  // of int8, by LiteRT's reference kernels
  int differing = 0;           // values of int8, by LiteRT itself
};

// All operators that are known here: the modules of zoo.py.
TEST_F(Exchange, other_runtimes_answer_alike) {
  if (const std::string lacking = lacks_tools(); !lacking.empty()) GTEST_SKIP() << lacking;
  const std::string tests = OUTCROP_SOURCE "/tests/exchange/";
  ASSERT_EQ(python(tests + "zoo.py .").code, 0);
  // LibTorch's enlarging of codes rounds at other places; so do its convolutions on some processors, a few in a thousand.
  const std::vector<Bound> bounds{{"convolutions", 2, 20}, {"groups"}, {"transposed"}, {"residual"}, {"pools", 5}, {"sizes", 3, 200},
                                  {"activations"}, {"attention"}, {"one_axis"}};
  std::ofstream jobs(folder_.path() / "jobs");
  for (const Bound& bound : bounds) {
    const std::string name = bound.module;
    const ShellOutcome quantized =
        outcrop("quantize " + name + ".pt " + name + " --method int8-qint8 --no-measure --calibration " + name + ".rows");
    ASSERT_EQ(quantized.code, 0) << quantized.output;
    for (const std::string variant : {"float", "int8-qint8"}) {
      const std::string file = name + "_" + variant;
      for (const std::string format : {"tflite", "onnx"}) {
        const ShellOutcome written = outcrop("export " + name + "/" + file + ".ptl exported --format " + format);
        ASSERT_EQ(written.code, 0) << file << ": " << written.output;
      }
      jobs << name << "/" << file << ".ptl exported/" << file << ".tflite exported/" << file << ".onnx --rows " << name
           << ".rows\n";
    }
  }
  ASSERT_EQ(outcrop("export convolutions/convolutions_float.ptl last --format tflite --channels-last").code, 0);
  jobs << "convolutions/convolutions_float.ptl last/convolutions_float.tflite --rows convolutions.rows\n";
  ASSERT_EQ(outcrop("export convolutions/convolutions_float.ptl dynamic --format tflite --dynamic-range --name dynamic").code, 0);
  jobs << "convolutions/convolutions_float.ptl dynamic/dynamic.tflite --rows convolutions.rows\n";
  jobs.close();
  const ShellOutcome judged = python(tests + "judge.py < jobs");
  ASSERT_EQ(judged.code, 0) << judged.output;
  int seen = 0;
  for (const auto& figures : figures_in(judged.output)) {
    const std::string file = figures.at("file");
    if (file == "dynamic.tflite") {
      EXPECT_GT(figures.at("db").get<double>(), 35.0) << figures;
      continue;
    }
    const auto bound = std::find_if(bounds.begin(), bounds.end(), [&](const Bound& one) { return file.starts_with(one.module); });
    ++seen;
    if (file.find("float") != std::string::npos) {
      EXPECT_LE(figures.at("largest").get<double>(), 1e-4) << figures;
    } else if (figures.at("by") == "AUTO") {
      EXPECT_LE(figures.at("differing").get<int>(), bound->differing) << figures;
    } else if (!figures.at("steps").is_null()) {
      EXPECT_LE(figures.at("steps").get<double>(), figures.at("by") == "onnxruntime" ? 2.01 : bound->reference_steps + 0.01) << figures;
    }
  }
  EXPECT_GE(seen, 4 * static_cast<int>(bounds.size()));
}

}  // namespace
}  // namespace outcrop
