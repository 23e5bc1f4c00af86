#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/messages/golden_call.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/proof_call.hpp"

namespace outcrop::hostile {

// Models that tests need and nobody would ship. Made with the whole of LibTorch's JIT, behind a
// header that knows nothing of it. Every function writes one .ptl file and throws on failure.

// How a small honest generator is stored.
enum class Form { float32, float_mobile, quint8, qint8 };

// A generator with the shape of the real ones, small enough to be made in a test:
// decode(latent [B, 16]) -> (velocity [B, 1, 10, 10], seismic [B, 2, 40, 10]), and
// forward(batch_size, seed=0) -> the same. The same weights whatever the form.
struct SmallGenerator {
  std::vector<runtime::Tensor> golden_inputs;   // "latent" [3, 16]
  std::vector<runtime::Tensor> golden_outputs;  // of the float form, "velocity_1", … of each call
  messages::Signature signature;
  std::vector<messages::GoldenCall> golden_calls;  // forward(1, 5), forward(2, 7), decode(latent)
  std::vector<runtime::ProofCall> proofs;          // the same with their tensors
};
SmallGenerator write_small_generator(const std::filesystem::path& file, Form form);

// The same in float and with the same decode, but forward draws other samples.
void write_missampling_generator(const std::filesystem::path& file);

// The same in quint8 with the weights of one quantized convolution set to zero: a file that
// loads and runs, and is not what was measured.
void write_tampered_generator(const std::filesystem::path& file);

// Runs as soon as it is loaded: its __setstate__ saves a tensor to `target`.
void write_file_writer(const std::filesystem::path& file, const std::filesystem::path& target);
// Reads `target` as a tensor when forward(latent) is called.
void write_file_reader(const std::filesystem::path& file, const std::filesystem::path& target);

enum class When { load, call };

// Never ends.
void write_endless(const std::filesystem::path& file, When when);
// Wants 226 GB.
void write_greedy(const std::filesystem::path& file, When when);
// Takes memory in many pieces of 1 MB that it keeps, for ever.
void write_hoarder(const std::filesystem::path& file);
// Divides by zero in native code: SIGFPE.
void write_crashing(const std::filesystem::path& file, When when);
// Loads a file in this very process, unconfined: shows that an attack is real.
void load_here(const std::filesystem::path& file);
// Gives outputs that are not finite.
void write_not_finite(const std::filesystem::path& file);
// forward(batch_size) gives ones [B, 8], and [B, 10] of which two in ten are infinite.
void write_partly_finite(const std::filesystem::path& file);

}  // namespace outcrop::hostile
