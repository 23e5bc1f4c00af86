#include "trainer_host/trainer/exchange/keras/archive.hpp"

#include <zip.h>

#include <ctime>
#include <memory>

namespace outcrop::exchange {
namespace {

// What the format can say first, in this machine's time, which is what it keeps.
std::time_t first_of_1980() {
  std::tm date{};
  date.tm_year = 80;
  date.tm_mday = 1;
  date.tm_isdst = -1;
  return std::mktime(&date);
}

tl::unexpected<Error> failed(zip_error_t& error) {
  return fail(ErrorCode::internal, std::string("libzip: ") + zip_error_strerror(&error));
}

bool add(zip_t* archive, const std::string& name, const Bytes& bytes) {
  zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), /*freep=*/0);
  if (source == nullptr) return false;
  const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    return false;
  }
  const auto at = static_cast<zip_uint64_t>(index);
  return zip_set_file_compression(archive, at, ZIP_CM_STORE, 0) == 0 && zip_file_set_mtime(archive, at, first_of_1980(), 0) == 0;
}

Result<Bytes> bytes_in(zip_source_t* source) {
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_source_stat(source, &stat) != 0 || zip_source_open(source) != 0) return failed(*zip_source_error(source));
  Bytes bytes(stat.size);
  const zip_int64_t read = zip_source_read(source, bytes.data(), bytes.size());
  zip_source_close(source);
  if (read != static_cast<zip_int64_t>(bytes.size())) return failed(*zip_source_error(source));
  return bytes;
}

}  // namespace

Result<Bytes> to_archive(const std::vector<std::pair<std::string, Bytes>>& files) {
  zip_error_t error;
  zip_error_init(&error);
  const std::unique_ptr<zip_source_t, decltype(&zip_source_free)> memory(zip_source_buffer_create(nullptr, 0, 0, &error), zip_source_free);
  if (!memory) return failed(error);
  zip_source_keep(memory.get());  // the archive lets go of one
  zip_t* archive = zip_open_from_source(memory.get(), ZIP_TRUNCATE, &error);
  if (archive == nullptr) {
    zip_source_free(memory.get());
    return failed(error);
  }
  for (const auto& [name, bytes] : files) {
    if (add(archive, name, bytes)) continue;
    const auto why = failed(*zip_get_error(archive));
    zip_discard(archive);
    return why;
  }
  if (zip_close(archive) != 0) {
    const auto why = failed(*zip_get_error(archive));
    zip_discard(archive);
    return why;
  }
  return bytes_in(memory.get());
}

}  // namespace outcrop::exchange
