#include "trainer_host/trainer/weights/state_dict.hpp"

#include <new>

#include "trainer_host/trainer/data/mapped_file.hpp"
#include "trainer_host/trainer/weights/state_globals.hpp"
#include "trainer_host/trainer/weights/state_pickle.hpp"
#include "trainer_host/trainer/weights/storage_elements.hpp"
#include "trainer_host/trainer/weights/stored_zip.hpp"

namespace outcrop::weights {
namespace {

// All tensors together, as they are stored, beside the file: room for weights that layers share.
constexpr std::uint64_t most_times_the_file = 16;

tl::unexpected<Error> bad_state_dict(std::string message) {
  return fail(ErrorCode::invalid_data, std::move(message));
}

// All entries lie in one folder, whose name says nothing: "archive", or the file's.
Result<std::string> root_of(const StoredZip& zip) {
  if (zip.entries().empty()) return bad_state_dict("the archive is empty");
  const std::string& first = zip.entries().begin()->first;
  const std::string root = first.substr(0, first.find('/') + 1);
  for (const auto& [name, entry] : zip.entries()) {
    if (root.empty() || !name.starts_with(root)) {
      return bad_state_dict("it is a zip archive, but none that torch.save wrote: '" + shown(name) +
                            "' is not in one folder with the rest");
    }
  }
  return root;
}

Status check_contents(const StoredZip& zip, const std::string& root) {
  if (zip.contains(root + "constants.pkl") || zip.entries().lower_bound(root + "code/") !=
                                                  zip.entries().lower_bound(root + "code0")) {
    return bad_state_dict(
        "it is a TorchScript archive (torch.jit.save), which is a program; save its weights: "
        "torch.save(model.state_dict(), FILE)");
  }
  if (!zip.contains(root + "data.pkl")) {
    return bad_state_dict("it is a zip archive, but none that torch.save wrote: it has no data.pkl");
  }
  if (!zip.contains(root + "byteorder")) return {};  // before PyTorch 2.1: little-endian machines
  OUTCROP_TRY(order, zip.read(root + "byteorder"));
  if (as_text(order) == "little") return {};
  return bad_state_dict("its byte order is '" + shown(as_text(order)) +
                        "'; little-endian storages are read: save it on a machine that has those");
}

class Storages {
 public:
  Storages(const StoredZip& zip, std::string root) : zip_(zip), root_(std::move(root)) {}

  // All bytes of the one that `place` names, whose checksum is compared the first time.
  Result<BytesView> of(const TensorPlace& place) {
    auto known = read_.find(place.storage);
    if (known == read_.end()) {
      OUTCROP_TRY(bytes, zip_.read(root_ + "data/" + std::string(place.storage)));
      known = read_.emplace(place.storage, bytes).first;
    }
    const std::size_t size = element_size(place.type);
    const BytesView bytes = known->second;
    if (bytes.size() % size == 0 && bytes.size() / size == static_cast<std::uint64_t>(place.storage_elements)) {
      return bytes;
    }
    return bad_state_dict("its storage takes " + std::to_string(bytes.size()) + " bytes, where " +
                          std::to_string(place.storage_elements) + " values of " + std::to_string(size) +
                          " bytes are promised");
  }

 private:
  const StoredZip& zip_;
  std::string root_;
  std::map<std::string_view, BytesView> read_;
};

Status check_total(const std::map<std::string, TensorPlace>& places, std::uint64_t file_bytes) {
  std::uint64_t left = file_bytes * most_times_the_file;
  for (const auto& [name, place] : places) {
    OUTCROP_TRY(widest, runtime::size_of(runtime::DType::int64, place.shape));
    const std::uint64_t bytes = widest.value() / sizeof(std::int64_t) * element_size(place.type);
    if (bytes > left) {
      return bad_state_dict("with '" + shown(name) + "', its tensors are more than " +
                            std::to_string(most_times_the_file) +
                            " times as large as the file: views that repeat a storage; save tensor.clone()");
    }
    left -= bytes;
  }
  return {};
}

Result<Weights> decode_archive(BytesView file) {
  OUTCROP_TRY(zip, StoredZip::open(file));
  OUTCROP_TRY(root, root_of(zip));
  OUTCROP_CHECK(check_contents(zip, root));
  OUTCROP_TRY(pickle, zip.read(root + "data.pkl"));
  OUTCROP_TRY(places, read_state_pickle(pickle));
  OUTCROP_CHECK(check_total(places, file.size()));
  Storages storages(zip, root);
  Weights weights;
  for (const auto& [name, place] : places) {
    const auto named = [&](const Error& error) { return fail(error.context("'" + shown(name) + "'")); };
    const auto storage = storages.of(place);
    if (!storage) return named(storage.error());
    auto data = copy_elements(place, *storage);
    if (!data) return named(data.error());
    weights.emplace(name, runtime::Tensor{name, dtype_of(place.type), place.shape, std::move(*data)});
  }
  return weights;
}

}  // namespace

Result<Weights> decode_state_dict(BytesView file) {
  try {
    return decode_archive(file);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::out_of_memory, "not enough memory for its tensors");
  }
}

Result<Weights> read_state_dict(const std::filesystem::path& path) {
  OUTCROP_TRY(file, data::MappedFile::open(path));
  auto weights = decode_state_dict(file.bytes());
  if (!weights) return fail(weights.error().context("reading " + path.string()));
  return weights;
}

}  // namespace outcrop::weights
