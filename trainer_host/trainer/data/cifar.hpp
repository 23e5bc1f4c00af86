#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/labelled_images.hpp"

namespace outcrop::data {

// The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009; www.cs.toronto.edu/~kriz/cifar.html): one
// image of 32x32 after another, its label (of CIFAR-100 two, coarse and fine), then a plane each of red,
// green and blue.
enum class Cifar { ten, hundred };

// Of CIFAR-100 the fine labels. not_found where there is no such file; invalid_data, with the file's
// name, where it is no whole number of images, or a label is out of range.
[[nodiscard]] Result<LabelledImages> read_cifar(const std::filesystem::path& path, Cifar format);

// What the file of names beside them says, a class a line; nothing where there is no such file.
// invalid_data where it says another number of classes.
[[nodiscard]] Result<std::vector<std::string>> read_cifar_names(const std::filesystem::path& folder,
                                                                Cifar format);

}  // namespace outcrop::data
