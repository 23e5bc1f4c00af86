#include "trainer_host/trainer/quantize/lite_model.hpp"

#include <torch/csrc/jit/mobile/import.h>

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

// LibTorch's messages go on with a stack trace, which tells a user nothing.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

Result<LiteModel> load_stream(std::istream& stream, const std::string& name,
                              Result<LiteModel> (*wrap)(torch::jit::mobile::Module, std::string)) {
  try {
    prepare_engine();
    return wrap(torch::jit::_load_for_mobile(stream), name);
  } catch (const std::exception& error) {
    return fail(
        ErrorCode::invalid_data,
        name + " is not a model for the lite interpreter, or is damaged: " + first_line(error));
  }
}

}  // namespace

Result<LiteModel> LiteModel::load(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(Error::from_errno("opening " + file.string()));
  return load_stream(stream, file.filename().string(), [](auto module, auto name) {
    return Result<LiteModel>(LiteModel(std::move(module), std::move(name)));
  });
}

Result<LiteModel> LiteModel::load(const std::string& bytes, const std::string& name) {
  std::istringstream stream(bytes);
  return load_stream(stream, name, [](auto module, auto label) {
    return Result<LiteModel>(LiteModel(std::move(module), std::move(label)));
  });
}

Result<GeneratedPair> LiteModel::decode(const torch::Tensor& latents) {
  try {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> velocity;
    std::vector<torch::Tensor> seismic;
    const auto method = module_.get_method("decode");
    for (std::int64_t row = 0; row < latents.size(0); ++row) {
      const auto pair = method({latents.slice(0, row, row + 1).contiguous()}).toTuple();
      velocity.push_back(pair->elements().at(0).toTensor().contiguous());
      seismic.push_back(pair->elements().at(1).toTensor().contiguous());
    }
    return GeneratedPair{torch::cat(velocity), torch::cat(seismic)};
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name_ + ", method decode: " + first_line(error));
  }
}

Result<GeneratedPair> LiteModel::draw(std::int64_t seed) {
  try {
    const torch::NoGradGuard no_grad;
    const auto pair = module_.get_method("forward")({std::int64_t{1}, seed}).toTuple();
    return GeneratedPair{pair->elements().at(0).toTensor().contiguous(),
                         pair->elements().at(1).toTensor().contiguous()};
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name_ + ", method forward: " + first_line(error));
  }
}

Result<torch::Tensor> LiteModel::sample_latent(std::int64_t seed) {
  try {
    const torch::NoGradGuard no_grad;
    return module_.get_method("latent")({std::int64_t{1}, seed}).toTensor();
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name_ + ", method latent: " + first_line(error));
  }
}

}  // namespace outcrop::quantize
