#include "trainer_host/fleet/api/openapi.hpp"

// The file, by the assembler.
asm(".section .rodata\n.global outcrop_openapi\noutcrop_openapi:\n.incbin \"" OUTCROP_OPENAPI
    "\"\n.global outcrop_openapi_end\noutcrop_openapi_end:\n.byte 0\n.previous\n");
extern "C" const char outcrop_openapi[];
extern "C" const char outcrop_openapi_end[];

namespace outcrop::fleet {

std::string_view openapi_document() {
  return {outcrop_openapi, static_cast<std::size_t>(outcrop_openapi_end - outcrop_openapi)};
}

}  // namespace outcrop::fleet
