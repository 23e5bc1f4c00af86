#include "trainer_host/trainer/analyze/transfer_size.hpp"

#include <zstd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace outcrop::analyze {

Result<ByteCount> transfer_size(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(Error::from_errno("opening " + file.string()));
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (!context) return fail(ErrorCode::out_of_memory, "no memory to pack " + file.string());
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, transfer_level);
  std::vector<char> plain(ZSTD_CStreamInSize());
  std::vector<char> packed(ZSTD_CStreamOutSize());
  std::uint64_t bytes = 0;
  for (bool last = false; !last;) {
    stream.read(plain.data(), static_cast<std::streamsize>(plain.size()));
    last = !stream;
    if (stream.bad()) return fail(ErrorCode::io, "reading " + file.string());
    ZSTD_inBuffer input{plain.data(), static_cast<std::size_t>(stream.gcount()), 0};
    for (std::size_t left = 1; last ? left != 0 : input.pos < input.size;) {
      ZSTD_outBuffer output{packed.data(), packed.size(), 0};
      left = ZSTD_compressStream2(context.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) {
        return fail(ErrorCode::internal, "packing " + file.string() + ": " + ZSTD_getErrorName(left));
      }
      bytes += output.pos;
    }
  }
  return ByteCount(bytes);
}

}  // namespace outcrop::analyze
