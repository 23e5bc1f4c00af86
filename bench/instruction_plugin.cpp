// A plugin for qemu's user emulation that counts the instructions a program executes, for
// outcrop-bench-call to read:
//   qemu-aarch64 -plugin liboutcrop-instruction-plugin.so,page=FILE …
// Instructions are not time, but they are the same at every run, on every machine and under any
// load, which no time measured under emulation is.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "bench/instruction_page.hpp"

// What is used of qemu's plugin interface, version 1 (qemu 4.2 to 8.2): Debian packages no header.
extern "C" {
using qemu_plugin_id_t = std::uint64_t;
struct qemu_info_t;
struct qemu_plugin_tb;  // a block of code as it is translated
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
using qemu_plugin_vcpu_tb_trans_cb_t = void (*)(qemu_plugin_id_t, qemu_plugin_tb*);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, qemu_plugin_vcpu_tb_trans_cb_t);
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb*, qemu_plugin_op, void*,
                                              std::uint64_t);
std::size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb*);

[[gnu::visibility("default")]] extern const int qemu_plugin_version;
const int qemu_plugin_version = 1;
}

namespace {

using outcrop::bench::InstructionPage;

InstructionPage* page = nullptr;

InstructionPage* map_page(const char* path) {
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0 || ::ftruncate(file, sizeof(InstructionPage)) != 0) return nullptr;
  void* mapped =
      ::mmap(nullptr, sizeof(InstructionPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return mapped == MAP_FAILED ? nullptr : static_cast<InstructionPage*>(mapped);
}

// Each execution of a block adds its length: an addition in the translated code, no call.
void on_translation(qemu_plugin_id_t, qemu_plugin_tb* block) {
  qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &page->executed,
                                           qemu_plugin_tb_n_insns(block));
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int qemu_plugin_install(qemu_plugin_id_t id,
                                                                  const qemu_info_t*, int count,
                                                                  char** arguments) {
  constexpr const char* option = "page=";
  if (count != 1 || std::strncmp(arguments[0], option, std::strlen(option)) != 0) {
    std::fprintf(stderr, "instruction plugin: one argument is wanted, page=FILE\n");
    return 1;
  }
  const char* path = arguments[0] + std::strlen(option);
  page = map_page(path);
  if (page == nullptr) {
    std::perror(path);
    return 1;
  }
  *page = {InstructionPage::expected_mark, 0};
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  return 0;
}
