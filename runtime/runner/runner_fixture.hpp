#pragma once

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/runner.hpp"
#include "tests/hostile/hostile_models.hpp"
#include "tests/support/temporary_folder.hpp"

// What the tests of real runners with real models share.
namespace outcrop::runtime {

inline RunnerOptions options() {
  RunnerOptions options;
  options.program = std::filesystem::path(OUTCROP_BIN) / "outcrop-runner-torch";
  return options;
}

inline Runner started(const RunnerOptions& with = options()) {
  auto runner = Runner::start(with);
  if (!runner) throw std::runtime_error(runner.error().message());
  return std::move(*runner);
}

inline trust::VerifiedBlob blob_of(const std::filesystem::path& file) {
  const auto digest = trust::sha256_file(file);
  auto blob = trust::verify_blob(file, digest.value(), ByteCount(std::filesystem::file_size(file)));
  if (!blob) throw std::runtime_error(blob.error().message());
  return std::move(*blob);
}

// Allows just what the file names, as a manifest that was signed for it would.
inline Result<LoadReport> load_allowing_all(Runner& runner, const trust::VerifiedBlob& blob,
                                            int threads = 1) {
  OUTCROP_TRY(inspection, runner.inspect(blob));
  LoadRequest request;
  request.allowed_operators = inspection.operators;
  request.threads = threads;
  return runner.load(blob, request);
}

inline Value any_tensor() {
  const std::array<float, 2> values{1, 2};
  return Tensor::of_floats("", {2}, values);
}

// The models that most tests share, made once.
struct Models {
  TemporaryFolder folder;
  hostile::SmallGenerator goldens;

  Models() {
    using hostile::Form;
    goldens = hostile::write_small_generator(path("float"), Form::float32);
    hostile::write_small_generator(path("mobile"), Form::float_mobile);
    hostile::write_small_generator(path("quint8"), Form::quint8);
    hostile::write_small_generator(path("qint8"), Form::qint8);
  }
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return folder.path() / (name + ".ptl");
  }
};

inline const Models& models() {
  static const Models made;
  return made;
}

class Runners : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const {
    return folder_.path() / name;
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace outcrop::runtime
