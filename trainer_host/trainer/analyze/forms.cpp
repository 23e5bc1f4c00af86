#include "trainer_host/trainer/analyze/forms.hpp"

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/trial.hpp"
#include "trainer_host/trainer/analyze/transfer_size.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

constexpr const char* float_ending = "_float";
constexpr const char* float_name = "float";
constexpr const char* mobile_name = "float-mobile";

Result<fs::path> written(const AnalyzedModel& model, bool optimized, const fs::path& file) {
  try {
    OUTCROP_CHECK(write_file_durably(file, model.for_boards(optimized)));
    return file;
  } catch (const std::exception& error) {
    return fail(ErrorCode::unsupported, model.name() + " as a file for boards: " + models::words_of(error));
  }
}

Result<trust::VerifiedBlob> sealed(const fs::path& file, ByteCount size) {
  // Whatever it holds, the runner loads these very bytes.
  OUTCROP_TRY(digest, trust::sha256_file(file));
  return trust::verify_blob(file, digest, size);
}

Result<std::vector<Form>> sizes_of(const std::vector<FormFile>& files) {
  std::vector<Form> forms;
  for (const FormFile& file : files) {
    std::error_code error;
    Form form;
    form.name = file.name;
    form.role = file.role;
    form.disk = fs::file_size(file.file, error);
    if (error) return fail(ErrorCode::io, "reading " + file.file.string() + ": " + error.message());
    OUTCROP_TRY(packed, transfer_size(file.file));
    form.transfer = packed.value();
    forms.push_back(std::move(form));
  }
  return forms;
}

void take(const runtime::TrialResult& result, Form& form) {
  if (!result.outcome) {
    form.unmeasured = result.outcome.error().message();
    return;
  }
  const runtime::Measurement& measured = *result.measurement;
  form.p50_ms = measured.steady.p50.count();
  form.p90_ms = measured.steady.p90.count();
  form.calls = measured.steady.calls;
  form.memory = measured.peak_memory.value();
  form.engine_memory = measured.engine_memory.value();
  form.undisturbed = measured.validity.valid();
}

}  // namespace

Result<std::vector<FormFile>> form_files(const AnalyzedModel& original, const fs::path& original_file,
                                         const AnalyzedModel& quantized, const fs::path& quantized_file,
                                         const std::string& variant, const fs::path& folder) {
  std::vector<FormFile> files;
  if (original.is_lite()) {
    files.push_back({float_name, "original", original_file});
    std::string stem = original_file.stem().string();
    std::error_code error;
    if (stem.ends_with(float_ending)) {
      stem.resize(stem.size() - std::string_view(float_ending).size());
      const fs::path mobile = original_file.parent_path() / (stem + "_" + mobile_name + ".ptl");
      const bool is_it = fs::equivalent(mobile, quantized_file, error);
      if (!is_it && fs::is_regular_file(mobile, error)) files.push_back({mobile_name, "fast float", mobile});
    }
  } else {
    OUTCROP_TRY(plain, written(original, false, folder / ".form-float.ptl"));
    files.push_back({float_name, "original", plain});
    // Not all that runs can be made faster; then the plain form is the fastest that there is.
    auto mobile = written(original, true, folder / ".form-float-mobile.ptl");
    if (mobile) files.push_back({mobile_name, "fast float", *mobile});
  }
  const std::string name = variant.empty() ? quantized_file.stem().string() : variant;
  fs::path file = quantized_file;
  if (!quantized.is_lite()) {
    OUTCROP_TRY(made, written(quantized, false, folder / ".form-quantized.ptl"));
    file = made;
  }
  files.push_back({name, "quantized", file});
  return files;
}

Result<std::vector<Form>> measure_forms(const std::vector<FormFile>& files, const std::string& method,
                                        const std::vector<torch::Tensor>& row, const FormOptions& options) {
  OUTCROP_TRY(forms, sizes_of(files));
  if (!options.measure) {
    for (Form& form : forms) form.unmeasured = "nobody asked for it (--no-measure)";
    return forms;
  }
  std::vector<trust::VerifiedBlob> blobs;
  for (std::size_t i = 0; i < files.size(); ++i) {
    OUTCROP_TRY(blob, sealed(files[i].file, ByteCount(forms[i].disk)));
    blobs.push_back(std::move(blob));
  }
  std::vector<runtime::Candidate> candidates;
  for (std::size_t i = 0; i < files.size(); ++i) {
    runtime::Candidate candidate;
    candidate.name = files[i].name;
    candidate.blob = &blobs[i];
    candidate.allow_all_operators = true;
    candidates.push_back(std::move(candidate));
  }
  runtime::TrialOptions trial_options;
  trial_options.runner = options.runner;
  trial_options.measured.emplace();
  trial_options.measured->method = method;
  for (const torch::Tensor& tensor : row) {
    trial_options.measured->arguments.emplace_back(models::plain_tensor("", tensor));
  }
  trial_options.calls = options.calls;
  trial_options.time = options.time;
  trial_options.progress = options.progress;
  OUTCROP_TRY(trial, runtime::try_candidates(candidates, trial_options));
  for (std::size_t i = 0; i < forms.size(); ++i) take(trial.results[i], forms[i]);
  return forms;
}

}  // namespace outcrop::analyze
