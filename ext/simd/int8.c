/* The kernels of eight bits for one instruction set: compiled once for each dot_*.h, with
 * -DNN_ISA=NAME. dispatch.c lists the tables that this gives, such as nn_int8__avx2. If the target
 * has no such instructions, dot_*.h is empty, and so is the object file. */
#ifndef NN_ISA
#error "compile with -DNN_ISA=NAME, the name of a dot_NAME.h"
#endif

#define NN_TEXT_OF(name) #name
#define NN_TEXT(name) NN_TEXT_OF(name)
#define NN_JOINED(first, second) first##second
#define NN_JOIN(first, second) NN_JOINED(first, second)

#define NN_DOUBLE 0
#include "real.h"
#include NN_TEXT(NN_JOIN(dot_, NN_ISA).h)
#ifndef NN_KERNELS
#define NN_KERNELS "int8.tpl.h"
#endif
#ifdef NN_TARGET
#include NN_KERNELS
#endif
