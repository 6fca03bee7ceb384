/* A module that needs a library (needed.c), which is not found once the module is copied elsewhere. It is no backend
 * either: it lacks the table. */
int hs_test_needed(void);
__attribute__((visibility("default"))) int hs_test_need(void);

int hs_test_need(void)
{
    return hs_test_needed();
}
