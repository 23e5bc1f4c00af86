#include "trainer_host/trainer/experiment/inputs.hpp"

#include <algorithm>

#include "protocol/base/join.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/data/known_datasets.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_files = 100'000;  // of a folder of data

std::string line_of(const fs::path& file) {
  const auto stamp = data::stamp_of(file);
  const std::string state = stamp ? std::to_string(stamp->size) + " bytes, changed at " + std::to_string(stamp->modified)
                                  : "cannot be looked at";
  return "data " + file.string() + " = " + state;
}

}  // namespace

Inputs inputs_of_data(const std::vector<fs::path>& places) {
  Inputs inputs;
  for (const fs::path& place : places) {
    std::error_code error;
    if (!fs::is_directory(place, error)) {
      inputs.push_back(line_of(place));
      continue;
    }
    std::vector<fs::path> files;
    for (fs::recursive_directory_iterator entry(place, error), end; !error && entry != end && files.size() < most_files;
         entry.increment(error)) {
      if (entry->is_regular_file(error)) files.push_back(entry->path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) inputs.push_back(line_of(file));
  }
  return inputs;
}

std::string digest_of(const Inputs& inputs) {
  return trust::sha256(join(inputs, "\n")).hex();
}

}  // namespace outcrop::experiment
