#include "trainer_host/trainer/data/gzip_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "protocol/base/regular_file.hpp"

namespace outcrop::data {
namespace {

using GzipStream = std::unique_ptr<gzFile_s, int (*)(gzFile)>;

Result<GzipStream> open_stream(const std::filesystem::path& path) {
  OUTCROP_TRY(fd, open_regular_file(path));
  GzipStream stream(::gzdopen(fd.get(), "rb"), &::gzclose);
  if (!stream) {
    return fail(ErrorCode::out_of_memory, "reading " + path.string() + ": no memory to unpack it");
  }
  (void)fd.release();  // the stream's from now on
  constexpr unsigned buffer = 1U << 17;
  ::gzbuffer(stream.get(), buffer);
  return stream;
}

// What zlib says of a stream that cannot be read to its end; nothing where it can.
Status state_of(gzFile stream, const std::filesystem::path& path) {
  int code = Z_OK;
  const char* const why = ::gzerror(stream, &code);
  if (code == Z_OK || code == Z_STREAM_END) return {};
  if (code == Z_ERRNO) return fail(Error::from_errno("reading " + path.string()));
  if (code == Z_BUF_ERROR) {
    return fail(ErrorCode::invalid_data, path.string() + ": the gzip file is cut short");
  }
  return fail(ErrorCode::invalid_data, path.string() + ": the gzip file is damaged (" + why + ")");
}

}  // namespace

Result<Bytes> read_unpacked(const std::filesystem::path& path, ByteCount limit) {
  OUTCROP_TRY(stream, open_stream(path));
  constexpr std::size_t step = std::size_t{1} << 24;
  Bytes bytes;
  while (true) {
    const std::size_t before = bytes.size();
    // One more than may be there, so that more is noticed.
    const std::size_t wanted = std::min<std::size_t>(step, limit.value() - before + 1);
    bytes.resize(before + wanted);
    const int got = ::gzread(stream.get(), bytes.data() + before, static_cast<unsigned>(wanted));
    if (got < 0) OUTCROP_CHECK(state_of(stream.get(), path));
    bytes.resize(before + static_cast<std::size_t>(std::max(got, 0)));
    if (bytes.size() > limit.value()) {
      return fail(ErrorCode::invalid_data,
                  path.string() + " holds more than " + limit.human() + " unpacked");
    }
    if (static_cast<std::size_t>(std::max(got, 0)) < wanted) break;
  }
  // A file that ends within a block gives what it has first.
  OUTCROP_CHECK(state_of(stream.get(), path));
  return bytes;
}

}  // namespace outcrop::data
