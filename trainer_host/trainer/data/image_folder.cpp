#include "trainer_host/trainer/data/image_folder.hpp"

#include <string>
#include <utility>

#include "trainer_host/trainer/data/cifar.hpp"
#include "trainer_host/trainer/data/idx.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_batches = 1000;

std::optional<fs::path> existing(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error) ? std::optional(file) : std::nullopt;
}

// Unpacked before packed, where both are there.
std::optional<fs::path> idx_file(const fs::path& folder, const std::string& name) {
  if (auto plain = existing(folder / name)) return plain;
  return existing(folder / (name + ".gz"));
}

struct IdxPair {
  std::optional<fs::path> images;
  std::optional<fs::path> labels;
};

Result<IdxPair> idx_pair(const fs::path& folder, const std::string& part) {
  const std::string images = part + "-images-idx3-ubyte";
  const std::string labels = part + "-labels-idx1-ubyte";
  IdxPair pair{idx_file(folder, images), idx_file(folder, labels)};
  if (pair.images.has_value() == pair.labels.has_value()) return pair;
  return fail(ErrorCode::invalid_data, (pair.images ? *pair.images : *pair.labels).string() +
                                           " has no partner: " + (pair.images ? labels : images) +
                                           " (or the same with .gz) is missing");
}

Result<LabelledImages> read_idx_pair(const fs::path& image_file, const fs::path& label_file) {
  OUTCROP_TRY(images, IdxFile::read(image_file, 3));
  OUTCROP_TRY(labels, IdxFile::read(label_file, 1));
  const std::size_t count = images.shape()[0];
  if (count != labels.shape()[0]) {
    return fail(ErrorCode::invalid_data,
                image_file.string() + " holds " + std::to_string(count) + " images but " +
                    label_file.string() + " labels for " + std::to_string(labels.shape()[0]) +
                    "; the numbers must be equal");
  }
  LabelledImages read;
  read.shape = {1, images.shape()[1], images.shape()[2]};
  read.pixels.assign(images.values().begin(), images.values().end());
  read.labels.assign(labels.values().begin(), labels.values().end());
  return read;
}

}  // namespace

// One for each format of which there is any file.
Result<std::vector<ImageFolder>> ImageFolder::candidates(const fs::path& folder) {
  ImageFolder idx, ten, hundred;
  idx.format_ = Format::idx;
  ten.format_ = Format::cifar10;
  hundred.format_ = Format::cifar100;
  for (const auto& [part, files] : {std::pair{"train", &idx.training_}, std::pair{"t10k", &idx.test_}}) {
    OUTCROP_TRY(pair, idx_pair(folder, part));
    if (pair.images) files->push_back({*pair.images, *pair.labels});
  }
  for (std::size_t i = 1; i <= most_batches; ++i) {
    const auto batch = existing(folder / ("data_batch_" + std::to_string(i) + ".bin"));
    if (!batch) break;
    ten.training_.push_back({*batch});
  }
  if (const auto file = existing(folder / "test_batch.bin")) ten.test_.push_back({*file});
  if (const auto file = existing(folder / "train.bin")) hundred.training_.push_back({*file});
  if (const auto file = existing(folder / "test.bin")) hundred.test_.push_back({*file});
  std::vector<ImageFolder> found;
  for (ImageFolder* candidate : {&idx, &ten, &hundred}) {
    candidate->folder_ = folder;
    if (candidate->has_training() || candidate->has_test()) found.push_back(std::move(*candidate));
  }
  return found;
}

Result<ImageFolder> ImageFolder::open(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorCode::not_found, "images " + folder.string() + ": no such folder");
  }
  OUTCROP_TRY(found, candidates(folder));
  if (found.empty()) {
    return fail(ErrorCode::not_found,
                "images " + folder.string() +
                    ": no files of labelled images; expected are train-images-idx3-ubyte and "
                    "train-labels-idx1-ubyte (also with .gz; t10k-… for testing), CIFAR-10's "
                    "data_batch_1.bin … and test_batch.bin, or CIFAR-100's train.bin and test.bin");
  }
  if (found.size() > 1) {
    return fail(ErrorCode::invalid_data, "images " + folder.string() +
                                             ": it holds the files of more than one data set (IDX, "
                                             "CIFAR-10, CIFAR-100); each needs a folder of its own");
  }
  return std::move(found.front());
}

Result<LabelledImages> ImageFolder::read(const std::vector<Files>& files) const {
  LabelledImages all;
  for (const Files& file : files) {
    OUTCROP_TRY(images, format_ == Format::idx
                            ? read_idx_pair(file.images, file.labels)
                            : read_cifar(file.images, format_ == Format::cifar10 ? Cifar::ten
                                                                                 : Cifar::hundred));
    if (const Status fits = all.append(images); !fits) {
      return fail(fits.error().context(file.images.string()));
    }
  }
  if (format_ != Format::idx) {
    OUTCROP_TRY(names, read_cifar_names(folder_, format_ == Format::cifar10 ? Cifar::ten
                                                                            : Cifar::hundred));
    all.names = std::move(names);
  }
  return all;
}

}  // namespace outcrop::data
