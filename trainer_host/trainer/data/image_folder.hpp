#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/labelled_images.hpp"

namespace outcrop::data {

// A folder with a data set of labelled images, known by the names that its files have where they are
// handed out:
//   IDX        train-images-idx3-ubyte and train-labels-idx1-ubyte; t10k-images-idx3-ubyte and
//              t10k-labels-idx1-ubyte for testing; each may end in .gz (MNIST, Fashion-MNIST, …)
//   CIFAR-10   data_batch_1.bin, data_batch_2.bin, …; test_batch.bin; batches.meta.txt
//   CIFAR-100  train.bin; test.bin; fine_label_names.txt
// What is there to train on and what to test with may each be missing.
class ImageFolder {
 public:
  // not_found where there is no such folder or none of these files in it, and says which there might
  // be; invalid_data where it holds two data sets, or images without labels.
  [[nodiscard]] static Result<ImageFolder> open(const std::filesystem::path& folder);

  [[nodiscard]] bool has_training() const { return !training_.empty(); }
  [[nodiscard]] bool has_test() const { return !test_.empty(); }
  // invalid_data names the file, and what would be right, where images and labels differ in number, or
  // a file is no such file, cut short or too long.
  [[nodiscard]] Result<LabelledImages> read_training() const { return read(training_); }
  [[nodiscard]] Result<LabelledImages> read_test() const { return read(test_); }

 private:
  enum class Format { idx, cifar10, cifar100 };
  struct Files {
    std::filesystem::path images;
    std::filesystem::path labels{};  // of IDX
  };
  [[nodiscard]] static Result<std::vector<ImageFolder>> candidates(
      const std::filesystem::path& folder);
  [[nodiscard]] Result<LabelledImages> read(const std::vector<Files>& files) const;

  std::filesystem::path folder_;
  Format format_ = Format::idx;
  std::vector<Files> training_;
  std::vector<Files> test_;
};

}  // namespace outcrop::data
