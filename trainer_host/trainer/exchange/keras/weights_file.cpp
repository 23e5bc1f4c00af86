#include "trainer_host/trainer/exchange/keras/weights_file.hpp"

#include <hdf5.h>

#include <utility>

namespace outcrop::exchange {
namespace {

// What libhdf5 lends, given back; below 0 it failed.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  [[nodiscard]] bool good() const { return id_ >= 0; }
  [[nodiscard]] hid_t id() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

bool write_weight(hid_t file, const std::string& path, const Value& weight) {
  const std::vector<hsize_t> sizes(weight.shape.begin(), weight.shape.end());
  const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
  const Handle parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  const Handle timeless(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (!space.good() || !parents.good() || !timeless.good() || H5Pset_create_intermediate_group(parents.id(), 1) < 0 ||
      H5Pset_obj_track_times(timeless.id(), false) < 0) {
    return false;
  }
  const Handle set(H5Dcreate2(file, path.c_str(), H5T_IEEE_F32LE, space.id(), parents.id(), timeless.id(), H5P_DEFAULT), H5Dclose);
  return set.good() && H5Dwrite(set.id(), H5T_IEEE_F32LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, weight.data->data()) >= 0;
}

bool write_all(hid_t file, const std::vector<WeightGroup>& groups) {
  for (const WeightGroup& group : groups) {
    for (std::size_t i = 0; i < group.weights.size(); ++i) {
      if (!write_weight(file, group.path + "/" + std::to_string(i), group.weights[i])) return false;
    }
  }
  return H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0;
}

}  // namespace

Result<Bytes> to_hdf5(const std::vector<WeightGroup>& groups) {
  constexpr std::size_t step = 1 << 20;  // by which memory grows
  const auto failure = [](const char* what) { return fail(ErrorCode::internal, std::string("libhdf5 does not ") + what + " weights"); };
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // it prints by itself
  const Handle in_memory(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!in_memory.good() || H5Pset_fapl_core(in_memory.id(), step, /*backing_store=*/false) < 0) return failure("take");
  const Handle file(H5Fcreate("model.weights.h5", H5F_ACC_TRUNC, H5P_DEFAULT, in_memory.id()), H5Fclose);
  if (!file.good() || !write_all(file.id(), groups)) return failure("write");
  const ssize_t size = H5Fget_file_image(file.id(), nullptr, 0);
  Bytes bytes(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (size <= 0 || H5Fget_file_image(file.id(), bytes.data(), bytes.size()) != size) return failure("hand out");
  return bytes;
}

}  // namespace outcrop::exchange
