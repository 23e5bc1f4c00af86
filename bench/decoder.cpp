// outcrop-bench-decoder: the decoder that int8 on 64-bit boards was first tried with, in
// variants. 5.3 million weights, all convolutions: how much int8 gains where nothing but kernels
// counts, and what our own generator can be held against.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/csrc/jit/passes/xnnpack_rewrite.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/layers.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::bench {
namespace fs = std::filesystem;
namespace {

using models::Layer;
using torch::jit::Module;

constexpr std::int64_t latent = 128;
constexpr std::int64_t calibration_samples = 8;

Layer convolution(std::string name, std::int64_t in, std::int64_t out) {
  return {.name = std::move(name), .in_channels = in, .out_channels = out};
}

Layer transposed(std::string name, std::int64_t in, std::int64_t out) {
  return {.name = std::move(name),
          .kind = Layer::Kind::transposed_convolution,
          .in_channels = in,
          .out_channels = out,
          .kernel = {4, 4},
          .stride = {2, 2}};
}

// 1 → 5 → 10 → 20 → 40 → 80, of which 70x70 are kept before `map`.
std::vector<Layer> decoder_layers() {
  Layer first = transposed("up0", latent, 512);
  first.kernel = {5, 5};
  first.stride = {1, 1};
  first.padding = {0, 0};
  Layer map = convolution("map", 32, 1);
  map.relu = false;
  return {first,
          convolution("mix0", 512, 256),
          transposed("up1", 256, 256),
          convolution("mix1", 256, 256),
          transposed("up2", 256, 128),
          convolution("mix2", 128, 128),
          transposed("up3", 128, 64),
          convolution("mix3", 64, 64),
          transposed("up4", 64, 32),
          convolution("mix4", 32, 32),
          map};
}

// Its own `forward` around build_network's children: layers of ours do not crop.
Module make_decoder() {
  const auto layers = decoder_layers();
  const Module network =
      models::build_network("__torch__.bench.Layers", layers, at::detail::createCPUGenerator(1));
  Module decoder("__torch__.bench.Decoder", network._ivalue()->compilation_unit(),
                 /*shouldMangle=*/true);
  decoder.register_attribute("training", c10::BoolType::get(), false);
  std::string body = "def forward(self, x):\n";
  for (const Layer& layer : layers) {
    decoder.register_module(layer.name, network.attr(layer.name).toModule());
    const std::string call = "self." + layer.name + ".forward(x)";
    body += layer.relu ? "    x = torch.relu(" + call + ")\n"
                       : "    x = torch.slice(torch.slice(x, 2, 0, 70, 1), 3, 0, 70, 1)\n"
                         "    x = " +
                             call + "\n";
  }
  decoder.define(body + "    return x\n");
  decoder.eval();
  return decoder;
}

Status write_mobile(const Module& module, const fs::path& file) {
  std::ostringstream bytes;
  module._save_for_mobile(bytes);
  return write_file_durably(file, bytes.str());
}

Status write_variants(const fs::path& folder) {
  models::prepare_engine();
  const torch::NoGradGuard no_grad;
  at::set_num_threads(1);  // the same bytes at every call
  const Module decoder = make_decoder();
  const auto latents = torch::empty({calibration_samples, latent, 1, 1})
                           .normal_(0.0, 1.0, at::detail::createCPUGenerator(2));
  OUTCROP_CHECK(
      write_mobile(quantize::reload(torch::jit::optimizeForMobile(quantize::reload(decoder))),
                   folder / "decoder_float-mobile.ptl"));
  for (const auto& [name, type] : {std::pair{"int8-quint8", quantize::ActivationType::quint8},
                                   std::pair{"int8-qint8", quantize::ActivationType::qint8}}) {
    quantize::StaticQuantization options;
    options.activations = type;
    OUTCROP_TRY(quantized, quantize::quantize_static(decoder, latents, options));
    OUTCROP_CHECK(
        write_mobile(quantized.module, folder / (std::string("decoder_") + name + ".ptl")));
  }
  const auto one = latents.slice(0, 0, 1).contiguous();
  const std::vector<runtime::Tensor> input{runtime::Tensor::of_floats(
      "latent", one.sizes().vec(), {one.data_ptr<float>(), static_cast<std::size_t>(one.numel())})};
  return runtime::write_tensor_file(folder / "decoder_input.safetensors", input);
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  std::string folder;
  CLI::App app{
      "Writes a convolutional decoder of 5.3 million weights, drawn and not trained: "
      "decoder_<variant>.ptl, made as a stage's variants are, and decoder_input.safetensors."};
  app.add_option("FOLDER", folder, "Where to")->required()->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  const auto status = outcrop::bench::write_variants(folder);
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-decoder: %s\n", status.error().message().c_str());
  return 1;
}
