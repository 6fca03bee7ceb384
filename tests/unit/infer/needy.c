/* A module that needs a library (needed.c), which the dynamic loader cannot find once the module is
 * copied to another folder. The module is not a valid backend either: it lacks the table. */
int hs_test_needed(void);
__attribute__((visibility("default"))) int hs_test_need(void);

int hs_test_need(void)
{
    return hs_test_needed();
}
