#include "trainer_host/trainer/models/model_file.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::models {
namespace {

using ::testing::HasSubstr;

NamedTensors some_tensors() {
  return {{"network.weight", torch::arange(24).to(torch::kFloat).reshape({2, 3, 4})},
          {"network.odd", torch::full({3}, 0.5F)},
          {"adam.steps", torch::full({}, 7, torch::kLong)}};
}

class ModelFiles : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path() const { return folder_.path() / "checkpoint"; }
  void write() const {
    ASSERT_THAT(write_model_file(path(), {ModelFileKind::checkpoint, R"({"epoch": 3})", some_tensors()}),
                IsOk());
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(ModelFiles, come_back_whole_and_outlive_their_name) {
  write();
  const auto file = read_model_file(path());
  ASSERT_THAT(file, IsOk());
  std::filesystem::remove(path());
  EXPECT_EQ(file->kind, ModelFileKind::checkpoint);
  EXPECT_THAT(file->about, HasSubstr("\"epoch\":3"));
  const auto expected = some_tensors();
  ASSERT_EQ(file->tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(file->tensors[i].first, expected[i].first);
    EXPECT_TRUE(torch::equal(file->tensors[i].second, expected[i].second)) << expected[i].first;
  }
}

TEST_F(ModelFiles, of_versions_without_aligned_payloads_are_read) {
  // As version 0.1 wrote it: no spaces before the payload, and no kind.
  write();
  std::string text = *read_text_file(path());
  const std::size_t header = text.find('\n') + 1;
  const std::size_t end = text.find('\n', header);
  const std::size_t last = text.find_last_not_of(' ', end - 1);
  text.erase(last + 1, end - last - 1);
  for (const std::size_t shift : {0, 1, 2, 3}) {  // whatever its alignment
    std::string shifted = text;
    shifted.insert(last + 1, shift, ' ');
    std::ofstream(path(), std::ios::binary) << shifted;
    const auto file = read_model_file(path());
    ASSERT_THAT(file, IsOk());
    EXPECT_TRUE(torch::equal(file->tensors[0].second, some_tensors()[0].second));
  }
}

TEST_F(ModelFiles, damage_anywhere_is_named) {
  write();
  const std::string whole = *read_text_file(path());
  for (const std::size_t at : {whole.size() - 1, whole.size() / 2, std::size_t{25}}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    std::ofstream(path(), std::ios::binary) << damaged;
    EXPECT_THAT(read_model_file(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged")));
  }
  std::ofstream(path(), std::ios::binary) << whole.substr(0, whole.size() - 9);
  EXPECT_THAT(read_model_file(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("cut short")));
  std::ofstream(path(), std::ios::binary) << "";
  EXPECT_THAT(read_model_file(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("empty")));
  std::ofstream(path(), std::ios::binary) << "outcrop checkpoint 2\n{}\n";
  EXPECT_THAT(read_model_file(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("first line")));
}

TEST_F(ModelFiles, restoring_names_what_is_missing_or_misshapen) {
  const auto values = some_tensors();
  EXPECT_THAT(restore({{"network.bias", torch::zeros({3})}}, values),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("network.bias is missing")));
  EXPECT_THAT(restore({{"network.odd", torch::zeros({4})}}, values),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("network.odd has another shape")));
}

// Its header is read before anybody knows who wrote it.
TEST_F(ModelFiles, whose_header_is_a_trap_are_refused) {
  std::string deep(200'000, '[');
  std::ofstream(path(), std::ios::binary)
      << "outcrop weights 1\n{\"shape\":" << deep << std::string(deep.size(), ']') << "}\n";
  EXPECT_THAT(read_model_file(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("nested too deeply")));
  EXPECT_THAT(kind_named_in(path()), ErrorIs(ErrorCode::invalid_data, HasSubstr("nested too deeply")));
  // A name becomes part of files' names.
  const ModelDescription outside{.name = "../elsewhere/model", .kind = "classifier", .shape = "{}",
                                 .data_digest = ""};
  EXPECT_THAT(description_in(to_json(outside)), ErrorIs(ErrorCode::invalid_data, HasSubstr("no name")));
  ASSERT_EQ(::mkfifo((path().string() + ".fifo").c_str(), 0600), 0);
  EXPECT_THAT(read_model_file(path().string() + ".fifo"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a regular file")));
}

TEST(Description, of_a_version_that_knew_one_kind_is_a_generator) {
  const std::string about =
      R"({"model": "m", "shape": {"latent": 8}, "stage": 1, "epoch": 3, "trained_seconds": 1.5,
          "data_digest": "00"})";
  const auto description = description_in(about);
  ASSERT_THAT(description, IsOk());
  EXPECT_EQ(description->kind, "generator");
  const auto again = description_in(to_json(*description));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->shape, description->shape);
  EXPECT_THAT(description_in("{}"), ErrorIs(ErrorCode::invalid_data, HasSubstr("model")));
}

}  // namespace
}  // namespace outcrop::models
