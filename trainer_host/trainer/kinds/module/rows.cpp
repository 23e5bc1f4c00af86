#include "trainer_host/trainer/kinds/module/rows.hpp"

#include <algorithm>
#include <unordered_set>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/trust/digest.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::user_module {
namespace fs = std::filesystem;
namespace {

using torch::Tensor;

constexpr const char* target_name = "target";
constexpr const char* one_file = "rows.safetensors";
constexpr ByteCount largest_file = ByteCount::mib(16 << 10);

BytesView bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

std::string shape_text(const Tensor& tensor) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : tensor.sizes()) sizes.push_back(std::to_string(size));
  return "[" + join(sizes) + "]";
}

// "x.npy, mask.npy and target.npy".
std::string what_is_needed(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  for (const std::string& name : arguments) files.push_back(name + ".npy");
  return "a folder of rows holds " + join(files) + " with a row for each call along the first dimension, and " +
         "target.npy with what should be answered, or all of them by these names in " + one_file;
}

Result<runtime::Tensor> read_npy(const fs::path& file, const std::string& name) {
  OUTCROP_TRY(bytes, read_file(file, largest_file));
  auto tensor = runtime::decode_npy(bytes);
  if (!tensor) return fail(tensor.error().context(file.string()));
  tensor->name = name;
  return tensor;
}

Result<std::vector<runtime::Tensor>> read_tensors(const fs::path& folder,
                                                  const std::vector<std::string>& names,
                                                  const std::vector<std::string>& arguments) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorCode::not_found, folder.string() + " is no folder; " + what_is_needed(arguments));
  }
  std::vector<runtime::Tensor> together;
  if (fs::exists(folder / one_file, error)) {
    auto read = runtime::read_tensor_file(folder / one_file, largest_file);
    if (!read) return fail(read.error().context((folder / one_file).string()));
    together = std::move(*read);
  }
  std::vector<runtime::Tensor> tensors;
  for (const std::string& name : names) {
    const auto found = std::find_if(together.begin(), together.end(),
                                    [&](const runtime::Tensor& one) { return one.name == name; });
    const fs::path file = folder / (name + ".npy");
    if (found != together.end()) {
      tensors.push_back(std::move(*found));
    } else if (fs::exists(file, error)) {
      OUTCROP_TRY(tensor, read_npy(file, name));
      tensors.push_back(std::move(tensor));
    } else if (name != target_name) {
      return fail(ErrorCode::not_found, folder.string() + " has nothing for '" + name + "'; " +
                                            what_is_needed(arguments));
    }
  }
  return tensors;
}

Status check_rows(const fs::path& folder, const std::string& name, const Tensor& tensor,
                  std::int64_t rows) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_data, folder.string() + ": '" + name + "' " + why);
  };
  if (tensor.dim() == 0) return refuse("is one number; its first dimension must be rows");
  if (tensor.size(0) != rows) {
    return refuse("has " + std::to_string(tensor.size(0)) + " rows, and another tensor beside it " +
                  std::to_string(rows) + "; each row is one call");
  }
  if (rows == 0) return refuse("has no rows");
  if (!tensor.is_floating_point()) return {};
  const auto finite = torch::isfinite(tensor).reshape({rows, -1}).all(1);
  if (finite.all().item<bool>()) return {};
  const auto row = torch::nonzero(~finite)[0].item<std::int64_t>();
  return refuse("is not finite in row " + std::to_string(row) + ", counted from 0");
}

Result<Rows> read_folder(const fs::path& folder, const std::vector<std::string>& arguments) {
  std::vector<std::string> names = arguments;
  names.emplace_back(target_name);
  OUTCROP_TRY(tensors, read_tensors(folder, names, arguments));
  Rows rows;
  for (const runtime::Tensor& plain : tensors) {
    Tensor tensor = models::torch_tensor(plain);
    const Tensor& first = rows.inputs.empty() ? tensor : rows.inputs.front();
    OUTCROP_CHECK(check_rows(folder, plain.name, tensor, first.dim() == 0 ? 0 : first.size(0)));
    if (plain.name == target_name) {
      rows.target = std::move(tensor);
    } else {
      rows.inputs.push_back(std::move(tensor));
    }
  }
  return rows;
}

// One behind the other; `names` are those of the tensors.
Status append(Rows& all, const Rows& more, const std::vector<std::string>& names,
              const fs::path& folder) {
  const auto join_rows = [&](Tensor& to, const Tensor& from, const std::string& name) -> Status {
    if (to.scalar_type() != from.scalar_type() || to.sizes().slice(1) != from.sizes().slice(1)) {
      return fail(ErrorCode::invalid_data, folder.string() + ": '" + name + "' is " + shape_text(from) +
                                               ", and in the folder before " + shape_text(to) +
                                               "; rows have one shape and type");
    }
    to = torch::cat({to, from});
    return {};
  };
  for (std::size_t i = 0; i < all.inputs.size(); ++i) {
    OUTCROP_CHECK(join_rows(all.inputs[i], more.inputs[i], names[i]));
  }
  if (all.has_target() != more.has_target()) {
    return fail(ErrorCode::invalid_data,
                folder.string() + ": a target is there in some of the folders only");
  }
  return all.has_target() ? join_rows(all.target, more.target, target_name) : Status();
}

Result<Rows> read_folders(const std::vector<fs::path>& folders,
                          const std::vector<std::string>& arguments) {
  Rows all;
  for (const fs::path& folder : folders) {
    OUTCROP_TRY(rows, read_folder(folder, arguments));
    if (all.size() == 0) {
      all = std::move(rows);
    } else {
      OUTCROP_CHECK(append(all, rows, arguments, folder));
    }
  }
  return all;
}

std::string digest_of(const Rows& rows) {
  if (rows.size() == 0) return {};
  trust::Sha256Hasher hasher;
  const auto add = [&](const Tensor& tensor) {
    hasher.update(as_bytes(shape_text(tensor) + (tensor.is_floating_point() ? "f\n" : "i\n")));
    hasher.update(bytes_of(tensor));
  };
  for (const Tensor& input : rows.inputs) add(input);
  if (rows.has_target()) add(rows.target);
  return hasher.finish().hex();
}

// Of each row, all that is asked.
std::vector<trust::Sha256Digest> questions(const Rows& rows) {
  std::vector<trust::Sha256Digest> digests;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    trust::Sha256Hasher hasher;
    for (const Tensor& input : rows.inputs) {
      hasher.update(bytes_of(input[static_cast<std::int64_t>(i)]));
    }
    digests.push_back(hasher.finish());
  }
  return digests;
}

std::size_t count_known_rows(const Rows& training, const Rows& held_out) {
  if (training.size() == 0 || held_out.size() == 0) return 0;
  const auto known = questions(training);
  const std::unordered_set<trust::Sha256Digest> set(known.begin(), known.end());
  const auto asked = questions(held_out);
  return static_cast<std::size_t>(std::count_if(
      asked.begin(), asked.end(), [&](const auto& digest) { return set.contains(digest); }));
}

}  // namespace

Rows Rows::slice(std::size_t first, std::size_t count) const {
  const auto begin = static_cast<std::int64_t>(std::min(first, size()));
  const auto end = static_cast<std::int64_t>(std::min(first + count, size()));
  Rows some;
  for (const Tensor& input : inputs) some.inputs.push_back(input.slice(0, begin, end).contiguous());
  if (has_target()) some.target = target.slice(0, begin, end).contiguous();
  return some;
}

Rows Rows::chosen(std::span<const kinds::Draw> draws) const {
  auto index = torch::empty({static_cast<std::int64_t>(draws.size())}, torch::kLong);
  for (std::size_t i = 0; i < draws.size(); ++i) {
    index.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(draws[i].sample);
  }
  Rows some;
  for (const Tensor& input : inputs) some.inputs.push_back(input.index_select(0, index));
  if (has_target()) some.target = target.index_select(0, index);
  return some;
}

Result<SplitRows> open_rows(const kinds::DataPlaces& places,
                            const std::vector<std::string>& arguments) {
  OUTCROP_TRY(training, read_folders(places.train, arguments));
  OUTCROP_TRY(validation, read_folders(places.validation, arguments));
  if (training.size() > 0 && validation.size() > 0) {
    Rows both = training.slice(0, 1);
    OUTCROP_CHECK(append(both, validation.slice(0, 1), arguments, places.validation.front()));
  }
  const auto held_out = static_cast<std::size_t>(places.held_out);
  if (!places.only_scored && training.size() < held_out + 1) {
    return fail(ErrorCode::invalid_argument,
                "data.train holds " + std::to_string(training.size()) + " rows, of which " +
                    std::to_string(held_out) + " are held out: at least one must be left");
  }
  SplitRows split;
  split.summary.digest = digest_of(training);
  split.summary.held_out_digest = digest_of(validation);
  split.held_out = validation.size() > 0 ? std::move(validation)
                                         : training.slice(training.size() - held_out, held_out);
  split.training = held_out > 0 ? training.slice(0, training.size() - held_out) : std::move(training);
  split.summary.training = split.training.size();
  split.summary.held_out = split.held_out.size();
  const std::size_t shared = count_known_rows(split.training, split.held_out);
  if (places.only_scored) split.summary.shared = shared;
  if (shared > 0 && !places.only_scored) {
    return fail(ErrorCode::invalid_argument,
                std::to_string(shared) + " of " + std::to_string(split.held_out.size()) +
                    " rows that are held out are among those to train on, and a score on what was "
                    "trained on says nothing; keep rows apart that training does not see");
  }
  return split;
}

}  // namespace outcrop::user_module
