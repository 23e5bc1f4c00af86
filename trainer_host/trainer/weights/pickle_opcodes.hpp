#pragma once

#include <string>

namespace outcrop::weights {

// The opcodes of pickle that torch.save needs for what checkpoints hold (Lib/pickletools.py).
enum class Opcode : unsigned char {
  mark = '(',
  stop = '.',
  bin_int = 'J',
  bin_int1 = 'K',
  bin_int2 = 'M',
  none = 'N',
  bin_persid = 'Q',
  reduce = 'R',
  bin_unicode = 'X',
  bin_float = 'G',
  append = 'a',
  build = 'b',
  global = 'c',
  appends = 'e',
  bin_get = 'h',
  long_bin_get = 'j',
  bin_put = 'q',
  long_bin_put = 'r',
  set_item = 's',
  tuple = 't',
  set_items = 'u',
  empty_list = ']',
  empty_tuple = ')',
  empty_dict = '}',
  proto = 0x80,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  new_true = 0x88,
  new_false = 0x89,
  long1 = 0x8a,
  short_bin_unicode = 0x8c,
  bin_unicode8 = 0x8d,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
};

// "opcode NEWOBJ" for those of Python's that are none of the above, "byte 0xff, which is no opcode" for
// what is none at all.
[[nodiscard]] std::string opcode_name(Opcode opcode);

}  // namespace outcrop::weights
