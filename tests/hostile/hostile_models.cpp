#include "tests/hostile/hostile_models.hpp"

#include <torch/csrc/jit/mobile/import.h>
#include <torch/script.h>

#include <string>

namespace outcrop::hostile {
namespace {

using torch::jit::Module;

// A child module whose state is restored by code: `restore` runs while the file is loaded.
Module with_setstate(const std::string& restore) {
  Module child("__torch__.Child");
  child.register_attribute("kept", c10::TensorType::get(), torch::zeros({2}));
  child.define(
      "def __getstate__(self) -> Tensor:\n    return self.kept\n"
      "def __setstate__(self, state: Tensor) -> None:\n    self.kept = state\n" +
      restore + "def forward(self, x: Tensor) -> Tensor:\n    return x + self.kept.sum()\n");
  return child;
}

void save(const std::filesystem::path& file, const std::string& at_load,
          const std::string& at_call) {
  Module model("__torch__.Hostile");
  if (at_load.empty()) {
    model.define("def forward(self, x: Tensor) -> Tensor:\n" + at_call + "    return x\n");
  } else {
    model.register_module("child", with_setstate(at_load));
    model.define("def forward(self, x: Tensor) -> Tensor:\n    return self.child.forward(x)\n");
  }
  model._save_for_mobile(file.string());
}

// In `code`, @ is what the code must change: work without a result would be optimized away.
void save(const std::filesystem::path& file, When when, std::string code) {
  const std::string variable = when == When::load ? "self.kept" : "x";
  for (auto at = code.find('@'); at != std::string::npos; at = code.find('@')) {
    code.replace(at, 1, variable);
  }
  save(file, when == When::load ? code : "", when == When::call ? code : "");
}

}  // namespace

void write_file_writer(const std::filesystem::path& file, const std::filesystem::path& target) {
  save(file, "    torch.save(state, \"" + target.string() + "\")\n", "");
}

void write_file_reader(const std::filesystem::path& file, const std::filesystem::path& target) {
  save(file, "", "    x = torch.from_file(\"" + target.string() + "\", False, 1, dtype=6)\n");
}

void write_endless(const std::filesystem::path& file, When when) {
  // The condition is a tensor's value, so that no compiler sees that it never changes.
  save(file, when,
       "    n = torch.ones([1])\n    while bool(n[0] > 0):\n        n = n * 1.0\n    @ = @ + n\n");
}

void write_greedy(const std::filesystem::path& file, When when) {
  save(file, when, "    @ = torch.zeros([56500000000])\n");
}

void write_hoarder(const std::filesystem::path& file) {
  save(file, When::call,
       "    kept = [torch.ones([1])]\n    while bool(@[0] > 0):\n"
       "        kept.append(torch.ones([262144]))\n        @ = @ + kept[-1][0]\n");
}

void write_crashing(const std::filesystem::path& file, When when) {
  save(file, when, "    zero = int(torch.zeros([1]).sum().item())\n    @ = @ + float(7 % zero)\n");
}

void write_not_finite(const std::filesystem::path& file) {
  save(file, When::call, "    x = x / torch.zeros([1])\n");
}

void write_partly_finite(const std::filesystem::path& file) {
  Module model("__torch__.Hostile");
  model.define(
      "def forward(self, batch_size: int) -> Tuple[Tensor, Tensor]:\n"
      "    x = torch.ones([batch_size, 8])\n"
      "    lost = torch.ones([batch_size, 2]) / torch.zeros([1])\n"
      "    return x, torch.cat([x, lost], 1)\n");
  model._save_for_mobile(file.string());
}

void load_here(const std::filesystem::path& file) {
  torch::jit::_load_for_mobile(file.string());
}

}  // namespace outcrop::hostile
